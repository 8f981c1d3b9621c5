// cl100k_base out of the npm package, and DBRX's special tokens: tiktoken's own five and the three
// that Databricks added.
import { createRequire } from 'node:module';

// node_modules is in the working directory (build/tiktoken), not beside this file.
const require = createRequire(`${process.cwd()}/`);
const { Tiktoken } = require('tiktoken');

export const encoding = require('tiktoken/encoders/cl100k_base.json');
export const special_tokens = {
  ...encoding.special_tokens,
  '<|pad|>': 100277,
  '<|im_start|>': 100278,
  '<|im_end|>': 100279,
};
export const tiktoken = () => new Tiktoken(encoding.bpe_ranks, special_tokens, encoding.pat_str);
