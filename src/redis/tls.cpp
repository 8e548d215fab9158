#include "redis/tls.hpp"

#include "redis/settings.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <vector>

namespace holdfast::redis {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

// Of a certificate's names, so many are said.
constexpr std::size_t kNamesSaid = 4;

template <class T, void (*Free)(T*)>
struct Freed {
    void operator()(T* pointer) const { Free(pointer); }
};
using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES, GENERAL_NAMES_free>>;

asio::const_buffer bytes_of(const std::string& text) {
    return asio::buffer(text);
}

bool is_address(const std::string& name) {
    boost::system::error_code error;
    asio::ip::make_address(name, error);
    return !error;
}

// What comes from a certificate comes from a stranger, and goes to a log.
std::string printable(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
}

std::string common_name(const X509_NAME* name) {
    char text[256] = "";
    if (name == nullptr || X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text) < 0) {
        return "(no name)";
    }
    return printable(text);
}

std::string time_of(const ASN1_TIME* time) {
    tm parts{};
    char text[32] = "";
    if (ASN1_TIME_to_tm(time, &parts) == 1) {
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    }
    return text;
}

std::string text_of(const GENERAL_NAME& name) {
    if (name.type == GEN_DNS) {
        return printable({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name.d.dNSName)),
                          static_cast<std::size_t>(ASN1_STRING_length(name.d.dNSName))});
    }
    const unsigned char* bytes = ASN1_STRING_get0_data(name.d.iPAddress);
    asio::ip::address_v4::bytes_type v4{};
    asio::ip::address_v6::bytes_type v6{};
    switch (static_cast<std::size_t>(ASN1_STRING_length(name.d.iPAddress))) {
        case sizeof v4:
            std::copy_n(bytes, v4.size(), v4.begin());
            return asio::ip::address_v4{v4}.to_string();
        case sizeof v6:
            std::copy_n(bytes, v6.size(), v6.begin());
            return asio::ip::address_v6{v6}.to_string();
        default:
            return "?";
    }
}

// Whom the certificate is for: its alternative names, or the common name where it has none.
std::string names_of(X509* certificate) {
    std::vector<std::string> all;
    const Names names{static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME& name = *sk_GENERAL_NAME_value(names.get(), i);
        if (name.type == GEN_DNS || name.type == GEN_IPADD) {
            all.push_back(text_of(name));
        }
    }
    if (all.empty()) {
        return common_name(X509_get_subject_name(certificate));
    }
    std::string text;
    for (std::size_t i = 0; i < std::min(all.size(), kNamesSaid); ++i) {
        text += (i > 0 ? ", " : "") + all[i];
    }
    return all.size() > kNamesSaid ? text + ", ..." : text;
}

int reason_of(const boost::system::error_code& error) {
    return ERR_GET_REASON(static_cast<unsigned long>(error.value()));
}

tl::unexpected<std::string> wrong(const std::string& setting,
                                  const std::string& file,
                                  const std::string& why) {
    ERR_clear_error();  // else the next operation would find it
    return tl::unexpected(setting + " " + file + " " + why);
}

tl::expected<void, std::string> add_client_certificate(ssl::context& context,
                                                       const Tls& tls,
                                                       const TlsFiles& files) {
    boost::system::error_code error;
    context.use_certificate_chain(bytes_of(files.cert), error);
    if (error) {
        return wrong("store.tls_cert", tls.cert_file, "holds no certificate in PEM");
    }
    // Without it OpenSSL asks on the terminal, and stands still.
    const auto asked = std::make_shared<bool>(false);
    context.set_password_callback(
        [asked](auto, auto) {
            *asked = true;
            return std::string{};
        },
        error);
    context.use_private_key(bytes_of(files.key), ssl::context::pem, error);
    if (*asked) {
        return wrong("store.tls_key",
                     tls.key_file,
                     "has a passphrase, which the daemon cannot know; store the key without one, "
                     "readable by the daemon alone (openssl pkey -in FILE -out FILE)");
    }
    const bool read = !error || reason_of(error) == X509_R_KEY_VALUES_MISMATCH;
    if (!read) {
        return wrong("store.tls_key", tls.key_file, "holds no private key in PEM");
    }
    if (error || SSL_CTX_check_private_key(context.native_handle()) != 1) {
        return wrong("store.tls_key",
                     tls.key_file,
                     "is not the key of the certificate in store.tls_cert " + tls.cert_file);
    }
    return {};
}

}  // namespace

tl::expected<TlsContext, std::string> make_tls_context(const Tls& tls, const TlsFiles& files) {
    auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
    context->set_verify_mode(ssl::verify_peer);
    SSL_CTX_set_min_proto_version(context->native_handle(),
                                  tls.at_least_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    boost::system::error_code error;
    if (tls.ca_file.empty()) {
        context->set_default_verify_paths(error);
    } else {
        context->add_certificate_authority(bytes_of(files.ca), error);
        if (error) {
            return wrong("store.tls_ca", tls.ca_file, "holds no certificate in PEM");
        }
    }
    if (!tls.cert_file.empty()) {
        if (const auto added = add_client_certificate(*context, tls, files); !added) {
            return tl::unexpected(added.error());
        }
    }
    return context;
}

bool expect_server(SSL* connection, const std::string& name) {
    if (is_address(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name.c_str()) == 1;
    }
    SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(connection, name.c_str()) == 1 &&
           SSL_set1_host(connection, name.c_str()) == 1;
}

std::string refusal_in_words(ssl::verify_context& context, const std::string& name) {
    X509_STORE_CTX* store = context.native_handle();
    X509* certificate = X509_STORE_CTX_get_current_cert(store);
    const int error = X509_STORE_CTX_get_error(store);
    if (certificate == nullptr) {
        return std::string{"the server's certificate is refused: "} +
               X509_verify_cert_error_string(error);
    }
    const std::string whose = X509_STORE_CTX_get_error_depth(store) == 0
                                  ? "the server's certificate"
                                  : "the certificate of " +
                                        common_name(X509_get_subject_name(certificate)) +
                                        ", which signed the server's,";
    switch (error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return whose + " has expired: it was valid until " +
                   time_of(X509_get0_notAfter(certificate));
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return whose + " is not valid yet: it will be from " +
                   time_of(X509_get0_notBefore(certificate)) + " on";
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return whose + " is for " + names_of(certificate) + ", not for " + name +
                   " (store.tls_server_name says for whom it must be)";
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
            return whose + " is self-signed, and is not in store.tls_ca";
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return whose + " is signed by an unknown authority, " +
                   common_name(X509_get_issuer_name(certificate)) + " (see store.tls_ca)";
        default:
            return whose + " is refused: " + X509_verify_cert_error_string(error);
    }
}

std::string error_in_words(const boost::system::error_code& error) {
    if (error == ssl::error::stream_truncated) {
        return "the server closed the connection";
    }
    if (error.category() != asio::error::get_ssl_category()) {
        return error.message();
    }
    switch (reason_of(error)) {
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_HTTP_REQUEST:
            return "the server does not speak TLS at this port: it is another one, or the URL is "
                   "redis://";
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            return "the server speaks no version of TLS that store.tls_min_version allows";
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return "the server wants a certificate from its clients: set store.tls_cert and "
                   "store.tls_key";
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            return "the server broke off the TLS handshake: it wants a certificate from its "
                   "clients "
                   "(store.tls_cert), or has no cipher in common with us";
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
            return "the server does not accept the certificate in store.tls_cert: it does not know "
                   "who signed it";
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
            return "the server says that the certificate in store.tls_cert has expired";
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
            return "the server says that the certificate in store.tls_cert has been revoked";
        default:
            return "TLS: " + error.message();
    }
}

}  // namespace holdfast::redis
