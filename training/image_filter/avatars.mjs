import { createAvatar } from '@dicebear/core';
import * as c from '@dicebear/collection';
import { Resvg } from '@resvg/resvg-js';
import fs from 'fs';
const [out, count] = [process.argv[2], +process.argv[3]];
for (const [name, style] of Object.entries(c)) {
  fs.mkdirSync(`${out}/${name}`, { recursive: true });
  for (let i = 0; i < count; i++) {
    const options = { seed: `${name}-${i}` };
    if (i % 3) options.backgroundColor = [Math.floor(Math.random()*0xffffff).toString(16).padStart(6,'0')];
    const svg = createAvatar(style, options).toString();
    fs.writeFileSync(`${out}/${name}/${i}.png`, new Resvg(svg, { fitTo: { mode: 'width', value: 192 }, font:{loadSystemFonts:false} }).render().asPng());
  }
}
