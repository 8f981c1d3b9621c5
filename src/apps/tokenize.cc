// `dbrx tokenize`: {"text": ...} lines to {"ids": [...]} lines, and with --decode the other way.
#include <boost/json.hpp>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "base/error.h"
#include "tensor/json.h"
#include "text/tokenizer.h"

namespace dbrx {
namespace {

namespace json = boost::json;

struct TokenizeFlags {
  std::string model_dir;
  bool decode = false;
  bool special = false;
};

json::object encode_line(const Tokenizer& tokenizer, const json::object& line, bool special,
                         const std::string& where) {
  const json::value* text = line.if_contains("text");
  if (text == nullptr || !text->is_string()) {
    throw Error(Code::invalid_argument, where + ": expected a string 'text'");
  }
  json::array ids;
  for (const int32_t id : tokenizer.encode(std::string_view(text->get_string()),
                                           special ? Specials::as_tokens : Specials::as_text)) {
    ids.push_back(id);
  }
  return {{"ids", std::move(ids)}};
}

json::object decode_line(const Tokenizer& tokenizer, const json::object& line,
                         const std::string& where) {
  const json::value* ids = line.if_contains("ids");
  if (ids == nullptr || !ids->is_array()) {
    throw Error(Code::invalid_argument, where + ": expected a list 'ids'");
  }
  std::vector<int32_t> tokens;
  for (const json::value& id : ids->get_array()) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= tokenizer.n_ids()) {
      throw Error(Code::invalid_argument, where + ": ids: expected token ids from 0 to " +
                                              std::to_string(tokenizer.n_ids() - 1) + ", found " +
                                              json::serialize(id));
    }
    tokens.push_back(static_cast<int32_t>(id.get_int64()));
  }
  return {{"text", tokenizer.decode(tokens, /*skip_special=*/false)}};
}

int tokenize(const TokenizeFlags& flags) {
  const Tokenizer tokenizer = Tokenizer::load(flags.model_dir);
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    const std::string where = "line " + std::to_string(number) + " of the input";
    const json::object object = parse_json_object(line, where);
    const json::object answer = flags.decode ? decode_line(tokenizer, object, where)
                                             : encode_line(tokenizer, object, flags.special, where);
    std::cout << json::serialize(answer) << '\n';
  }
  std::cout.flush();
  if (!std::cout) throw Error(Code::resource_exhausted, "can't write to the standard output");
  return 0;
}

}  // namespace

CommandMain setup_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  app.add_option("-m,--model", flags->model_dir, "model directory (its tokenizer.json)")
      ->required();
  app.add_flag("--decode", flags->decode, "read {\"ids\": [...]}, write {\"text\": ...}");
  app.add_flag("--special", flags->special,
               "names of special tokens in the text become those tokens (default: plain text)");
  return [flags] { return tokenize(*flags); };
}

}  // namespace dbrx
