// Draws avatars and emoji as PNG or WebP files: node avatars.mjs FOLDER COUNT
// Needs: npm i @dicebear/core@9 @dicebear/collection@9 @resvg/resvg-js facesjs@5 @twemoji/svg@15 @lobehub/fluent-emoji-3d@1
import * as styles from '@dicebear/collection';
import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';
import { faceToSvgString, generate } from 'facesjs';
import fs from 'node:fs';

const [folder, count] = [process.argv[2], Number(process.argv[3])];
const grounds = ['', 'b6e3f4', '2a6041', 'ffd5dc', '1b1b3a', 'c0aede', 'f4d35e'];
// Emoji with a face or a person.
const faces = /^1f(6[0-4][0-9a-f]|46[6-9a-f]|47[0-9a-f]|48[0-7]|9[1-7][0-9a-f]|9d[0-9a-f]|385)(-|\.)/;

function draw(path, svg) {
  fs.writeFileSync(path, new Resvg(svg, { fitTo: { mode: 'width', value: 192 } }).render().asPng());
}

for (const [name, style] of Object.entries(styles)) {
  fs.mkdirSync(`${folder}/avatars/${name}`, { recursive: true });
  for (let i = 0; i < count; i++) {
    const ground = grounds[i % grounds.length];
    const avatar = createAvatar(style, { seed: `${name}-${i}`, ...(ground && { backgroundColor: [ground] }) });
    draw(`${folder}/avatars/${name}/${i}.png`, avatar.toString());
  }
}

fs.mkdirSync(`${folder}/facesjs`, { recursive: true });
for (let i = 0; i < count * 8; i++) draw(`${folder}/facesjs/${i}.png`, faceToSvgString(generate()));

fs.mkdirSync(`${folder}/twemoji`, { recursive: true });
for (const name of fs.readdirSync('node_modules/@twemoji/svg').filter((name) => faces.test(name)))
  draw(`${folder}/twemoji/${name.replace('.svg', '.png')}`, fs.readFileSync(`node_modules/@twemoji/svg/${name}`));

fs.mkdirSync(`${folder}/fluent`, { recursive: true });
for (const name of fs.readdirSync('node_modules/@lobehub/fluent-emoji-3d/assets').filter((name) => faces.test(name)))
  fs.copyFileSync(`node_modules/@lobehub/fluent-emoji-3d/assets/${name}`, `${folder}/fluent/${name}`);
