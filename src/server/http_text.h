// The textual side of HTTP: what a head looks like, and what of a client's text may be repeated in
// a header or a log line.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "server/http.h"

namespace dbrx {

std::string_view reason_phrase(int status);

enum class BodyKind { none, sized, chunked, until_close };

struct HeadStyle {
  BodyKind body = BodyKind::sized;
  bool close = false;
  std::string_view request_id;
};

// Status line and header fields, blank line included. Control characters in values are dropped, so
// no value can begin a new field.
std::string render_head(const HttpResponse& response, const HeadStyle& style);

// One piece of a chunked body, appended to out.
void append_chunk(std::string& out, std::string_view data);

// Printable ASCII without spaces, commas and quotes, at most `limit` characters; others become '?'.
std::string sanitize_token(std::string_view text, size_t limit);

// The client's id when it is short and harmless, else a fresh one.
std::string choose_request_id(std::string_view from_client);

// n random hexadecimal digits.
std::string random_hex(int n);

bool equals_ignoring_case(std::string_view a, std::string_view b);

// Whether a host, as an option or a URL names it, is this machine's own whatever a name server
// says: localhost, ::1 (in brackets or not) and 127.x.x.x, but not 127.evil.example.
bool is_loopback_name(std::string_view host);

// The parameters of a target's query, decoded. Throws ApiError(400) for one
// that is malformed or none of the `known`.
std::map<std::string, std::string> parse_query(std::string_view target,
                                               std::initializer_list<std::string_view> known);

// Decodes %41; nothing when the text is malformed or what it means is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace dbrx
