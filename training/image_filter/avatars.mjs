// Draws avatars of every DiceBear style as PNG files: node avatars.mjs FOLDER COUNT
// Needs: npm i @dicebear/core@9 @dicebear/collection@9 @resvg/resvg-js
import * as styles from '@dicebear/collection';
import { createAvatar } from '@dicebear/core';
import { Resvg } from '@resvg/resvg-js';
import fs from 'node:fs';

const [folder, count] = [process.argv[2], Number(process.argv[3])];
const grounds = ['', 'b6e3f4', '2a6041', 'ffd5dc', '1b1b3a', 'c0aede', 'f4d35e'];

for (const [name, style] of Object.entries(styles)) {
  fs.mkdirSync(`${folder}/${name}`, { recursive: true });
  for (let i = 0; i < count; i++) {
    const ground = grounds[i % grounds.length];
    const avatar = createAvatar(style, { seed: `${name}-${i}`, ...(ground && { backgroundColor: [ground] }) });
    const picture = new Resvg(avatar.toString(), { fitTo: { mode: 'width', value: 192 } });
    fs.writeFileSync(`${folder}/${name}/${i}.png`, picture.render().asPng());
  }
}
