// Unpacks the MobileNetV2 that nsfwjs carries (MIT) into FOLDER/weights.json and weights.bin: node backbone.mjs FOLDER
// Needs: npm i nsfwjs@4.4.0
import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const models = 'nsfwjs/dist/models/mobilenet_v2';
const plain = (part) => part.default ?? part;
const folder = process.argv[2];

fs.mkdirSync(folder, { recursive: true });
const { weightsManifest } = plain(require(`./node_modules/${models}/model.min.js`));
fs.writeFileSync(`${folder}/weights.json`, JSON.stringify(weightsManifest[0].weights));
fs.writeFileSync(`${folder}/weights.bin`, Buffer.from(plain(require(`./node_modules/${models}/group1-shard1of1.min.js`)), 'base64'));
