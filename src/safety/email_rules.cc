#include <algorithm>
#include <array>

#include "safety/pii_rules.h"

namespace dbrx {
namespace {

// Whether the text ends in the user of a URL: "https://", "ssh://user:".
bool ends_in_url_user(std::string_view before) {
  const size_t scheme = before.rfind("://");
  if (scheme == before.npos) return false;
  const std::string_view user = before.substr(scheme + 3);
  return user.find_first_of("/?#&=<>\"' \n") == user.npos;
}

// Whether the line is a command that takes the address of a machine.
bool is_command(std::string_view before) {
  const size_t line = before.rfind('\n');
  if (line != before.npos) before.remove_prefix(line + 1);
  constexpr std::array<std::string_view, 5> kCommands = {"ssh ", "scp ", "sftp ", "rsync ", "ssh-"};
  return std::any_of(kCommands.begin(), kCommands.end(), [&](std::string_view command) {
    const size_t at = before.find(command);
    return at != before.npos && (at == 0 || before[at - 1] == ' ' || before[at - 1] == '`');
  });
}

// What follows @ in names of files and services.
bool has_file_ending(std::string_view found) {
  constexpr std::array<std::string_view, 22> kEndings = {
      ".png", ".jpg", ".jpeg",    ".gif",    ".svg",   ".webp",  ".pdf", ".html",
      ".js",  ".css", ".json",    ".yml",    ".yaml",  ".txt",   ".csv", ".xml",
      ".log", ".jar", ".service", ".socket", ".timer", ".target"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return found.ends_with(ending); });
}

// "jane at example dot com", but "look at example dot com".
bool begins_with_no_name(std::string_view found) {
  constexpr std::array<std::string_view, 24> kWords = {
      "me",   "us",    "it",   "is",        "was",  "are",     "look",  "looking",
      "out",  "up",    "or",   "and",       "live", "here",    "found", "online",
      "page", "there", "site", "available", "shop", "website", "blog",  "visit"};
  const std::string_view first = found.substr(0, found.find(' '));
  return std::find(kWords.begin(), kWords.end(), first) != kWords.end();
}

bool accept_email(std::string_view found, std::string_view before) {
  return !ends_in_url_user(before) && !is_command(before) && !has_file_ending(found) &&
         !found.starts_with("git@") && !begins_with_no_name(found);
}

}  // namespace

std::vector<PatternRule> email_rules() {
  // At most 64 bytes of name and 9 labels of domain. Not a handle of a server (@jane@host.com), nor
  // a path (git@host.com:group/project), a prompt (root@host.com:~$) or a version
  // (a@1.2.3-beta.rc).
  const std::string word = kWord;
  const std::string name = R"([\w.%+\-] [\w.%+'\-]{0,63}+ )";
  const std::string quoted = R"(" [^"\s@]{1,40} (?: [ ] [^"\s@]{1,40} )? ")";
  const std::string label = R"([\p{L}\p{N}] (?: [\p{L}\p{N}\-]{0,61} [\p{L}\p{N}] )? )";
  const std::string end =
      " (?: (?: xn--[a-z0-9\\-]{2,40} | [a-z]{2,24} ) (?![" + word +
      "@]) | \\p{L}{2,24} (?![\\w@]) ) (?! \\. \\p{L}{2} | : [~/] | : [\\w.~\\-]{0,40} / )";
  const std::string domain = "(?! [0-9]+ (?: x\\. | \\.[0-9] ) ) (?: " + label + "\\. ){1,8}" + end;
  // jane (at) mail (dot) example (dot) com, jane at example dot com
  const std::string at = R"([ ]? [(\[{<] [ ]? at [ ]? [)\]}>] [ ]? )";
  const std::string dot = R"((?: \. | [ ]? [(\[{<] [ ]? dot [ ]? [)\]}>] [ ]? | [ ] dot [ ] ))";
  const std::string spoken =
      "[ ] at [ ] (?: [a-z0-9\\-]{1,63}+ [ ] dot [ ] ){1,4} (?: com | org | net | edu | gov | io | "
      "info | de | fr | uk | es | it | nl | in | br | au | jp | ca | ch | at | eu | us ) (?![" +
      word + "])";
  return {{"email",
           R"((?<![\w.%+\-@]) (?: )" + name + "(?: @ " + domain + "|" + at + "(?: " + label + dot +
               "){1,8}" + end + "|" + spoken + ") | " + quoted + " @ " + domain + ")",
           accept_email}};
}

}  // namespace dbrx
