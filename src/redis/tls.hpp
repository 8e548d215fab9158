#pragma once

// TLS in words and from files: a context made of settings, and why a handshake failed, said so that an
// operator knows what to mend. OpenSSL's own types stay in tls.cpp.

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/verify_context.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <string>
#include <tl/expected.hpp>

namespace holdfast::redis {

// What is in the files of Tls; empty: the file is not set.
struct TlsFiles {
    std::string ca;
    std::string cert;
    std::string key;

    bool operator==(const TlsFiles&) const = default;
};

struct Tls;

using TlsContext = std::shared_ptr<boost::asio::ssl::context>;

// A client's context, which verifies. The error names the setting, the file and the reason.
tl::expected<TlsContext, std::string> make_tls_context(const Tls& tls, const TlsFiles& files);

// SNI, and that the certificate must be for `name`: a host name or an address. False if OpenSSL takes no
// such name.
bool expect_server(SSL* connection, const std::string& name);

// Why the server's certificate is refused, from within the verification.
std::string refusal_in_words(boost::asio::ssl::verify_context& context, const std::string& name);

// An error of a stream, with TLS or without.
std::string error_in_words(const boost::system::error_code& error);

}  // namespace holdfast::redis
