#include "text/chat_template.h"

#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "text/rust_api.h"
#include "text/special_guard.h"

namespace dbrx {
namespace {

constexpr size_t kMaxFileBytes = size_t{16} << 20;

}  // namespace

std::string read_tokenizer_config(const std::filesystem::path& model_dir) {
  const auto path = model_dir / "tokenizer_config.json";
  return std::filesystem::exists(path) ? read_text_file(path, kMaxFileBytes) : "";
}

void ChatTemplate::Close::operator()(DbrxTextTemplate* handle) const {
  dbrx_text_template_close(handle);
}

std::optional<ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_dir,
                                               const std::string& tokenizer_config,
                                               const std::filesystem::path& template_file) {
  const auto source_path =
      template_file.empty() ? model_dir / "chat_template.jinja" : template_file;
  std::string source;
  DbrxTextSlice source_slice{nullptr, 0};
  if (!template_file.empty() || std::filesystem::exists(source_path)) {
    source = read_text_file(source_path, kMaxFileBytes);
    source_slice = rust::slice(source);
  }
  DbrxTextTemplate* handle = nullptr;
  const rust::Payload found(
      dbrx_text_template_open(source_slice, rust::slice(tokenizer_config), &handle),
      source_slice.data != nullptr ? source_path.string() : model_dir.string());
  if (handle == nullptr) return std::nullopt;
  return ChatTemplate(handle);
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages,
                                 bool add_generation_prompt) const {
  if (messages.empty()) throw Error{Code::invalid_argument, "the list of messages is empty"};
  std::vector<DbrxTextMessage> raw;
  raw.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    raw.push_back({rust::slice(message.role), rust::slice(message.content)});
  }
  const rust::Payload text(
      dbrx_text_render(rust_.get(), raw.data(), raw.size(), add_generation_prompt ? 1 : 0));
  if (text.bytes().empty()) {
    // DBRX's template prints everything inside of a loop over the turns after the system message.
    throw Error{
        Code::invalid_argument,
        "the chat template prints nothing for these messages; a system message alone is not "
        "enough, add a user message"};
  }
  return std::string(text.bytes());
}

std::vector<int32_t> ChatTemplate::encode(const Tokenizer& tokenizer,
                                          std::span<const ChatMessage> messages,
                                          bool add_generation_prompt) const {
  const SpecialGuard guard(tokenizer, messages);
  return guard.encode(render(guard.messages(), add_generation_prompt));
}

}  // namespace dbrx
