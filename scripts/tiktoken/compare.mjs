// Compares one member of the lines of two JSON-lines files:
//   node compare.mjs EXPECTED ACTUAL MEMBER
import { readFileSync } from 'node:fs';

const [expected_path, actual_path, member] = process.argv.slice(2);
const lines = (path) => readFileSync(path, 'utf8').split('\n').filter(Boolean);
const read = (path) => lines(path).map((line) => JSON.parse(line));
const expected = read(expected_path);
const actual = read(actual_path);
let n_different = 0;
expected.forEach((line, i) => {
  const [want, got] = [line[member], actual[i]?.[member]].map((value) => JSON.stringify(value));
  if (want === got) return;
  if (++n_different <= 5) {
    console.error(`line ${i + 1}, ${JSON.stringify(line.text)}:`);
    console.error(`  expected ${want}\n  got      ${got}`);
  }
});
if (actual.length !== expected.length) {
  console.error(`${expected.length} lines expected, ${actual.length} got`);
  n_different++;
}
console.log(`${member}: ${expected.length} cases, ${n_different} different`);
process.exitCode = n_different === 0 ? 0 : 1;
