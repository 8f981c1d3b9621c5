#include "tensor/json.h"

#include <boost/json/stream_parser.hpp>
#include <utility>

#include "base/error.h"

namespace dbrx {

boost::json::value parse_json(std::string_view text, const std::string& where) {
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code error;
  const size_t read = parser.write_some(text.data(), text.size(), error);
  if (!error && read < text.size())
    error = boost::json::make_error_code(boost::json::error::extra_data);
  if (!error) parser.finish(error);
  if (error) {
    throw Error(Code::corrupt, where + ": not valid JSON at byte " + std::to_string(read) + ": " +
                                   error.message());
  }
  return parser.release();
}

boost::json::object parse_json_object(std::string_view text, const std::string& where) {
  boost::json::value value = parse_json(text, where);
  if (!value.is_object()) throw Error(Code::corrupt, where + ": expected a JSON object");
  return std::move(value.as_object());
}

}  // namespace dbrx
