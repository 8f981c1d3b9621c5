#include "server/text_workers.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

namespace dbrx {

struct TextWorkers::Pool {
  explicit Pool(size_t n_threads) : threads(n_threads) {}
  boost::asio::thread_pool threads;
};

TextWorkers::TextWorkers(int n_threads)
    : pool_(std::make_unique<Pool>(static_cast<size_t>(n_threads))) {}

TextWorkers::~TextWorkers() { pool_->threads.join(); }

void TextWorkers::post(std::function<void()> task) {
  boost::asio::post(pool_->threads, std::move(task));
}

}  // namespace dbrx
