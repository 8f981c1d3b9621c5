// Which files a server reads again when they change, and what becomes of the new content.
#pragma once

#include <vector>

#include "server/api_keys.h"
#include "server/watched_files.h"

namespace dbrx {

class HttpServer;
class Router;
struct ServerOptions;
struct Services;

// Those of the options, and of the key file. Throws Error.
ApiKeys read_keys(const ServerOptions& options);

// All that the options name. What they refer to need not exist yet, but outlives them.
std::vector<WatchedFiles::File> files_to_watch(const ServerOptions& options, Services& services,
                                               Router& router, HttpServer& http);

}  // namespace dbrx
