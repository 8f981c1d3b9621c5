// What `dbrx serve --check` says when nothing is wrong.
#pragma once

#include "apps/loaded_model.h"
#include "apps/serve_flags.h"

namespace dbrx {

// To stdout, a line for each subject: what a start with these flags would serve, and to whom.
void print_check(const ServeFlags& flags, const LoadedModel& loaded, bool has_chat_template);

}  // namespace dbrx
