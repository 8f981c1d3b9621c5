// The calls that wait for the engine, so that they hear of it when it hangs or when their answers
// are lost. I/O thread only.
#pragma once

#include <memory>
#include <vector>

namespace dbrx {

class Completion;

class OpenCalls {
 public:
  void add(std::weak_ptr<Completion> call) { calls_.push_back(std::move(call)); }

  // Ends those that have nothing more to hope for; stalled: all. To be called each second.
  void look(bool stalled);

 private:
  std::vector<std::weak_ptr<Completion>> calls_;
};

}  // namespace dbrx
