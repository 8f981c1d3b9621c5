#include "server/tls_stream.h"

#include "base/error.h"

namespace dbrx {
namespace ssl = boost::asio::ssl;

std::shared_ptr<ssl::context> make_tls_context(const TlsFiles& files) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  const auto require = [](const boost::system::error_code& ec, const std::string& what) {
    if (ec) throw Error(Code::invalid_argument, what + ": " + ec.message());
  };
  boost::system::error_code ec;
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  // Connections wait most of the time, and give OpenSSL's buffers back meanwhile.
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  context->use_certificate_chain_file(files.certificate, ec);
  require(ec, files.certificate + ": can't be used as a certificate (PEM)");
  context->use_private_key_file(files.key, ssl::context::pem, ec);
  require(ec, files.key + ": can't be used as the private key (PEM) of " + files.certificate);
  return context;
}

}  // namespace dbrx
