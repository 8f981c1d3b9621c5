// JSON files of a checkpoint: strict parsing with a depth limit, and errors that name the file.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace dbrx {

// Throws Error(corrupt) that says where the text stops being JSON.
boost::json::value parse_json(std::string_view text, const std::string& where);

// The same, and the document must be an object.
boost::json::object parse_json_object(std::string_view text, const std::string& where);

}  // namespace dbrx
