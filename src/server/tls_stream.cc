#include "server/tls_stream.h"

#include <openssl/asn1.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <string>

#include "base/error.h"

namespace dbrx {
namespace ssl = boost::asio::ssl;
namespace {

int64_t expiry_of(const X509* certificate) {
  std::tm time = {};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) {
    throw Error(Code::invalid_argument, "the certificate's time of expiry can't be read");
  }
  return timegm(&time);
}

}  // namespace

std::shared_ptr<ssl::context> make_tls_context(const TlsFiles& files) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  // Instead of OpenSSL's question on the terminal: a server has nobody to ask.
  const auto is_encrypted = std::make_shared<bool>(false);
  context->set_password_callback([is_encrypted](size_t, ssl::context::password_purpose) {
    *is_encrypted = true;
    return std::string();
  });
  const auto require = [&](const boost::system::error_code& ec, const std::string& file,
                           const std::string& what) {
    if (*is_encrypted) {
      throw Error(Code::invalid_argument,
                  file +
                      ": is encrypted, and nobody is asked for a password: decrypt it with "
                      "openssl pkey -in " +
                      file + " -out NEW");
    }
    if (ec) throw Error(Code::invalid_argument, file + what + ": " + ec.message());
  };
  boost::system::error_code ec;
  // Connections wait most of the time, and give OpenSSL's buffers back meanwhile.
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  context->use_certificate_chain_file(files.certificate, ec);
  require(ec, files.certificate, ": can't be used as a certificate (PEM)");
  context->use_private_key_file(files.key, ssl::context::pem, ec);
  require(ec, files.key, ": can't be used as the private key (PEM) of " + files.certificate);
  return context;
}

int64_t certificate_expiry(ssl::context& context) {
  SSL_CTX* native = context.native_handle();
  int64_t first = expiry_of(SSL_CTX_get0_certificate(native));
  STACK_OF(X509)* chain = nullptr;
  // What the macro SSL_CTX_get0_chain_certs does, with its conversion said.
  SSL_CTX_ctrl(native, SSL_CTRL_GET_CHAIN_CERTS, 0, static_cast<void*>(&chain));
  for (int i = 0; i < sk_X509_num(chain); ++i) {  // of no chain: -1
    first = std::min(first, expiry_of(sk_X509_value(chain, i)));
  }
  return first;
}

int64_t check_tls_files(const TlsFiles& files) {
  return certificate_expiry(*make_tls_context(files));
}

}  // namespace dbrx
