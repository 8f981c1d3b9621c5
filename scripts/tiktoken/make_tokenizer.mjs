// Writes DBRX's tokenizer.json and tokenizer_config.json from tiktoken's cl100k_base ranks:
//   node make_tokenizer.mjs OUT_DIR
// A merge list says which two tokens make each token; tiktoken knows only the ranks. The pair is
// found by running tiktoken's own rule on the token's bytes with the lower ranks alone.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encoding, special_tokens } from './encoding.mjs';

// GPT-2's writing of bytes as characters: printable Latin-1 stands for itself, the other 68 bytes
// follow from U+0100 on.
function byteLevelAlphabet() {
  const printable = (b) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  let next = 0x100;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

// "! <first rank> <base64> <base64> ..." per line, ranks ascending. Returns Latin-1 strings.
function readRanks(text) {
  const tokens = [];
  for (const line of text.split('\n').filter(Boolean)) {
    const [, first, ...words] = line.split(' ');
    words.forEach((word, i) => {
      tokens[Number(first) + i] = Buffer.from(word, 'base64').toString('latin1');
    });
  }
  return tokens;
}

// The two parts that the token is merged from.
function parents(token, rank, ranks) {
  let parts = [...token];
  while (parts.length > 2) {
    let best = rank;
    let at = -1;
    for (let i = 0; i + 1 < parts.length; i++) {
      const merged = ranks.get(parts[i] + parts[i + 1]);
      if (merged !== undefined && merged < best) {
        best = merged;
        at = i;
      }
    }
    if (at < 0) throw new Error(`rank ${rank} can't be reached by merges`);
    parts.splice(at, 2, parts[at] + parts[at + 1]);
  }
  return parts;
}

function makeTokenizer() {
  const alphabet = byteLevelAlphabet();
  const name = (bytes) => [...bytes].map((c) => alphabet[c.charCodeAt(0)]).join('');
  const tokens = readRanks(encoding.bpe_ranks);
  const ranks = new Map(tokens.map((token, rank) => [token, rank]));
  const merges = [];
  tokens.forEach((token, rank) => {
    if (token.length > 1) merges.push(parents(token, rank, ranks).map(name).join(' '));
  });
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: Object.entries(special_tokens).map(([content, id]) => ({
      id, content, single_word: false, lstrip: false, rstrip: false, normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split', pattern: { Regex: encoding.pat_str }, behavior: 'Isolated', invert: false,
        },
        { ...byteLevel, use_regex: false },
      ],
    },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: true },
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '',
      end_of_word_suffix: '', fuse_unk: false, byte_fallback: false, ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, rank) => [name(token), rank])),
      merges,
    },
  };
}

const directory = process.argv[2];
if (!directory) throw new Error('usage: node make_tokenizer.mjs OUT_DIR');
mkdirSync(directory, { recursive: true });
writeFileSync(join(directory, 'tokenizer.json'), JSON.stringify(makeTokenizer()));
const config = {
  bos_token: '<|endoftext|>', eos_token: '<|endoftext|>', unk_token: '<|endoftext|>',
  pad_token: '<|pad|>', tokenizer_class: 'GPT2Tokenizer',
};
writeFileSync(join(directory, 'tokenizer_config.json'), JSON.stringify(config, null, 2) + '\n');
