#include "server/open_calls.h"

#include "server/completion.h"

namespace dbrx {

void OpenCalls::look(bool stalled) {
  std::erase_if(calls_, [&](const std::weak_ptr<Completion>& weak) {
    const std::shared_ptr<Completion> call = weak.lock();
    return call == nullptr || call->end_if_hopeless(stalled);
  });
}

}  // namespace dbrx
