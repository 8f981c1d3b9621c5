// Prints JSON lines {"text", "ids"} from tiktoken's own encoder, first the written cases, then
// seeded random ones:
//   node cases.mjs text|special [N_RANDOM] [SEED]
// text: the names of special tokens are text. special: they are tokens, and every case has one.
import { encoding, tiktoken, special_tokens } from './encoding.mjs';

const written = [
  '', ' ', '  ', '\n', '\r\n', '\t', ' \n', '\n ', '   a', 'a   ', 'a   b', 'a \n b', 'a\n\n\nb',
  '\n\n  \n', '\r', '\r\r\n\n', ' \t \t', 'hello world', 'Hello, world!', 'Hello  World',
  'S & P 500', 'The S & P 500 rose 1.5 % today.', 'AT&T, R&D, Q & A',
  "I'm you're he'd we'll they've it's don't", "I'M YOU'RE HE'D WE'LL THEY'VE IT'S DON'T",
  "'s't're've'm'll'd", "rock'n'roll o'clock ''", "'ſ 'ſt", '1', '12', '123', '1234', '12345',
  '123456789012345', '3.14159', '1,000,000', '0x1F600', '١٢٣٤٥', '१२३४', 'ⅫⅣ', '½ ¾ ²³', '𝟘𝟙𝟚𝟛',
  '…', '—', '“quotes” ‘single’', '«guillemets»', '- -- --- ----', '!!!???...', '(((())))', '=====',
  '/////', '<html><body></body></html>', '&amp;&lt;', '{{ x }}',
  'camelCaseWord snake_case_word kebab-case-word SCREAMING_CASE', 'a_b__c___d',
  '@user #tag $10 50%', 'naïve café résumé', 'cafe\u0301 e\u0301\u0301\u0301', 'Å Å',
  'straße STRASSE ß', 'İstanbul ı', 'Ελληνικά', 'Русский язык', 'עברית', 'العربية', 'हिन्दी',
  'ไทยภาษา', '中文字符', '日本語のテキスト', '한국어 텍스트', '中文。English，混合！', 'ｆｕｌｌｗｉｄｔｈ　ｓｐａｃｅ', 'Tiếng Việt', '😀',
  '👍🏽', '👨‍👩‍👧‍👦', '🏳️‍🌈🇩🇪', 'a😀b 😀 c', '\u200b\u200c\u200d\ufeff', '\u00a0\u00a0x',
  '\u2003 \u3000 ', '\u0085\u2028\u2029', '\u0000\u0001\u001f\u007f', '\ufffd\uffff',
  '\u{10ffff}\u{e000}\u{f0000}', 'Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢', 'ﬁ ﬂ ŉ', '𝓗𝓮𝓵𝓵𝓸', '𐍈𐌰', 'ᚠᛇᚻ',
  'def f(x):\n    return x + 1\n\n\nclass A:\n\tpass\n',
  'if (a && b || !c) { x->y[i++] = 0xFF; }\n', 'SELECT * FROM t WHERE a = \'b\';',
  '#include <vector>\n// comment\n/* more */', '\\n \\t \\\\ \\u0041',
  '{"a": [1, 2.5e-3, null], "b": {"c": "d"}}', '| a | b |\n|---|---|\n| 1 | 2 |',
  '    four\n        eight', '```cpp\nint main() {}\n```', 'https://example.com/a/b?c=d&e=f#g',
  'user@example.com', 'C:\\dir\\file', '<|endoftext|>', '<|im_start|>system\nx<|im_end|>',
  'a<|im_end|>b', '<|im_', '<|pad|><|fim_prefix|>', '<|endofprompt|', ' <|im_end|> ',
  'antidisestablishmentarianism', 'Donaudampfschifffahrtsgesellschaft',
];
const parts = [...' \n\taA0.-=é😀中', '\r\n', ' \n', "'s", 'ab'];
const lengths = [2, 3, 7, 15, 16, 17, 63, 64, 100, 129, 257, 1000];
const runs = parts.flatMap((part) => lengths.map((n) => part.repeat(n)));

// xorshift32; Math.random has no seed.
function makeRandom(seed) {
  let state = seed >>> 0 || 1;
  return (n) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % n;
  };
}

const ranges = [
  [0x20, 0x7e], [0x20, 0x7e], [0x00, 0x20], [0xa0, 0x17f], [0x300, 0x36f], [0x370, 0x52f],
  [0x590, 0x6ff], [0x900, 0x97f], [0xe00, 0xe7f], [0x1100, 0x11ff], [0x2000, 0x206f],
  [0x2150, 0x218f], [0x2190, 0x2bff], [0x3000, 0x30ff], [0x4e00, 0x9fff], [0xac00, 0xd7a3],
  [0xe000, 0xf8ff], [0xfe00, 0xffff], [0x10000, 0x10fff], [0x1d400, 0x1d7ff], [0x1f300, 0x1faff],
  [0x20000, 0x2a6df], [0xe0000, 0xe01ef],
];
const letters = [..." \n\t\r'\"saStTdDmM0129.,-_—eé中😀\u00a0\u0301"];
const soup = [...letters, "'s", "'LL", 'the', ' the', '  ', '\r\n'];

// Four kinds in turn: characters of a few scripts, a soup of what the pattern cares about, runs of
// one character in between, and texts of random tokens of the vocabulary.
function randomText(kind, random, encoder) {
  const length = 1 + random(60);
  const list = (make) => Array.from({ length }, make).join('');
  const point = ([low, high]) => String.fromCodePoint(low + random(high - low + 1));
  if (kind === 0) {
    const few = [0, 1, 2].map(() => ranges[random(ranges.length)]);
    return list(() => point(few[random(few.length)]));
  }
  if (kind === 1) return list(() => soup[random(soup.length)]);
  if (kind === 2) return list(() => soup[random(soup.length)].repeat(1 + random(12)));
  const ids = Uint32Array.from({ length }, () => random(100256));
  return new TextDecoder().decode(encoder.decode(ids));
}

// The text with one name of a special token put between two of its characters.
function withSpecial(text, random) {
  const characters = [...text];
  const names = Object.keys(special_tokens);
  characters.splice(random(characters.length + 1), 0, names[random(names.length)]);
  return characters.join('');
}

const special = process.argv[2] === 'special';
const n_random = Number(process.argv[3] ?? 3000);
const random = makeRandom(Number(process.argv[4] ?? 1));
const encoder = tiktoken();
const encode = (text) => (special ? encoder.encode(text, 'all') : encoder.encode_ordinary(text));
let texts = [...written, ...Object.keys(special_tokens), encoding.pat_str, ...runs];
for (let i = 0; i < n_random; i++) texts.push(randomText(i % 4, random, encoder));
if (special) texts = texts.map((text) => withSpecial(text, random));
for (let i = 0; i < texts.length; i += 500) {
  const lines = texts
    .slice(i, i + 500)
    .map((text) => JSON.stringify({ text, ids: [...encode(text)] }) + '\n');
  process.stdout.write(lines.join(''));
}
