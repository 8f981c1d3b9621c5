#include "apps/line_reader.h"

#include <histedit.h>
#include <langinfo.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <system_error>
#include <utility>

namespace dbrx {

struct LineReader::Editor {
  std::string prompt;
  std::filesystem::path history_file;
  EditLine* edit = nullptr;
  History* history = nullptr;
};

namespace {

constexpr int kHistoryLines = 1000;

std::string environment(const char* name) {
  // Read by the main thread before any other exists.
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

// libedit drops what the locale can't represent, and a fresh Debian has none set.
void use_utf8() {
  const char* locale = std::setlocale(LC_CTYPE, "");
  if (locale == nullptr || std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
    std::setlocale(LC_CTYPE, "C.UTF-8");
  }
}

}  // namespace

LineReader::LineReader(std::string prompt, std::filesystem::path history_file) {
  if (isatty(STDIN_FILENO) == 0) return;
  use_utf8();
  editor_ = std::make_unique<Editor>();
  editor_->prompt = std::move(prompt);
  editor_->history_file = std::move(history_file);
  editor_->edit = el_init("dbrx", stdin, stdout, stderr);
  editor_->history = history_init();
  HistEvent event = {};
  history(editor_->history, &event, H_SETSIZE, kHistoryLines);
  history(editor_->history, &event, H_SETUNIQUE, 1);
  el_set(editor_->edit, EL_CLIENTDATA, editor_.get());
  el_set(
      editor_->edit, EL_PROMPT, +[](EditLine* edit) -> char* {
        Editor* editor = nullptr;
        el_get(edit, EL_CLIENTDATA, &editor);
        return editor->prompt.data();
      });
  el_set(editor_->edit, EL_EDITOR, "emacs");
  el_set(editor_->edit, EL_HIST, history, editor_->history);
  el_set(editor_->edit, EL_SIGNAL, 1);  // restores the terminal when a signal arrives
  if (!editor_->history_file.empty()) {
    std::error_code ignored;  // without the folder the session simply has no lasting history
    std::filesystem::create_directories(editor_->history_file.parent_path(), ignored);
    history(editor_->history, &event, H_LOAD, editor_->history_file.c_str());
  }
}

LineReader::~LineReader() {
  if (editor_ == nullptr) return;
  HistEvent event = {};
  if (!editor_->history_file.empty()) {
    history(editor_->history, &event, H_SAVE, editor_->history_file.c_str());
  }
  history_end(editor_->history);
  el_end(editor_->edit);
}

LineReader::Result LineReader::read() {
  if (editor_ == nullptr) {
    Result result{Status::line, ""};
    if (!std::getline(std::cin, result.text)) result.status = Status::end;
    return result;
  }
  int count = 0;
  errno = 0;
  const char* line = el_gets(editor_->edit, &count);
  if (line == nullptr || count <= 0) {
    return {count < 0 && errno == EINTR ? Status::interrupted : Status::end, ""};
  }
  std::string text(line, static_cast<size_t>(count));
  if (text.ends_with('\n')) text.pop_back();
  if (!text.empty()) {
    HistEvent event = {};
    history(editor_->history, &event, H_ENTER, text.c_str());
  }
  return {Status::line, text};
}

std::filesystem::path default_history_file() {
  const std::string state = environment("XDG_STATE_HOME");
  if (!state.empty()) return std::filesystem::path(state) / "dbrx" / "chat_history";
  const std::string home = environment("HOME");
  if (home.empty()) return {};
  return std::filesystem::path(home) / ".local" / "state" / "dbrx" / "chat_history";
}

}  // namespace dbrx
