// Packs the files of FOLDER/dist and writes FOLDER/page_files.cc, which the program is linked with.
// Usage: node embed.mjs FOLDER
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

const kTypes = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

const folder = path.resolve(process.argv[2]);
const dist = path.join(folder, "dist");
const packed = path.join(folder, "packed");
mkdirSync(packed, { recursive: true });

const files = ["index.html", ...readdirSync(path.join(dist, "assets")).sort().map((name) => `assets/${name}`)];
const rows = files.map((name, i) => {
  const source = path.join(dist, name);
  const bytes = readFileSync(source);
  const target = path.join(packed, `${i}.gz`);
  writeFileSync(target, gzipSync(bytes, { level: 9 }));
  const type = kTypes[path.extname(name)];
  if (!type) throw new Error(`${name}: no Content-Type is known for this file`);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return { i, source, target, type, hash, path: name === "index.html" ? "/" : `/${name}` };
});

const include = (symbol, file) => `asm(".section .rodata\\n"
    "${symbol}: .incbin \\"${file}\\"\\n"
    "${symbol}_end: .previous\\n");
extern "C" const char ${symbol}[], ${symbol}_end[];
`;
const row = (r) => `    {"${r.path}", "${r.type}", "${r.hash}",
     {page_plain_${r.i}, page_plain_${r.i}_end}, {page_gzip_${r.i}, page_gzip_${r.i}_end}},
`;

writeFileSync(path.join(folder, "page_files.cc"), `// Written by web/scripts/embed.mjs.
#include "apps/page_files.h"

${rows.map((r) => include(`page_plain_${r.i}`, r.source) + include(`page_gzip_${r.i}`, r.target)).join("")}
namespace dbrx {

std::span<const PageFile> page_files() {
  static const PageFile files[] = {
${rows.map(row).join("")}  };
  return files;
}

}  // namespace dbrx
`);
