// One line of input at a time: with editing and a history kept between sessions on a terminal,
// plain reading otherwise.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace dbrx {

class LineReader {
 public:
  // history_file may be empty (nothing is kept). Its folder is made when missing.
  LineReader(std::string prompt, std::filesystem::path history_file);
  ~LineReader();

  enum class Status { line, interrupted, end };
  struct Result {
    Status status = Status::end;
    std::string text;  // without the newline
  };
  // interrupted: Ctrl-C at the prompt. end: end of file (Ctrl-D).
  Result read();

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  // null when stdin is no terminal
};

// $XDG_STATE_HOME/dbrx/chat_history, else below ~/.local/state; empty when there is no home.
std::filesystem::path default_history_file();

}  // namespace dbrx
