// Answers in the form of OpenAI's Responses: one choice, whose items are a message and calls.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "server/answer_format.h"

namespace dbrx {

class ResponsesAnswer : public AnswerFormat {
 public:
  explicit ResponsesAnswer(AnswerHead head) : head_(std::move(head)) {}

  std::string begin(int32_t choice, std::span<const int32_t> prompt_ids, ChunkUsage usage) override;
  std::string piece(const AnswerPiece& piece, ChunkUsage usage) override;
  std::string finish(int32_t choice, const ChoiceEnd& end, ChunkUsage usage) override;
  std::string end(const Usage& total, bool include_usage) override;
  std::string error(const ApiError& error) override;
  std::string whole(const std::vector<ChoiceAnswer>& choices, const TokensWanted& wanted,
                    const Usage& usage, const LogprobsFormat& format) override;

 private:
  // One of the output; a message, unless it is a call.
  struct Item {
    std::string id;
    bool is_call = false;
    std::string text = {};
    ToolCall call = {};
  };

  static Item new_message();
  static Item new_call(std::string call_id, std::string name);
  static boost::json::object part(std::string_view text);
  static boost::json::object item_head(const Item& item, std::string_view status);
  static boost::json::object item_json(const Item& item, std::string_view status);

  boost::json::object response(std::string_view status) const;
  boost::json::object ended(const ChoiceEnd& end, const Usage& usage) const;

  // logprobs: JSON text of the member of this name; empty: there is none.
  std::string event(std::string_view type, boost::json::object object,
                    std::string_view logprobs = "");
  std::string item_event(std::string_view type, boost::json::object object,
                         std::string_view logprobs = "");
  std::string open(Item item);
  std::string close(std::string_view status);

  AnswerHead head_;
  // Of a stream.
  int64_t n_events_ = 0;
  boost::json::array output_;  // items that are closed
  std::optional<Item> open_;
  std::optional<ChoiceEnd> end_;
};

}  // namespace dbrx
