#include "support/certificates.hpp"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <stdexcept>

namespace holdfast::test {
namespace {

void must(bool good, const char* what) {
    if (!good) {
        throw std::runtime_error(std::string{"certificates: "} + what);
    }
}

void add_extension(X509* to, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    must(extension != nullptr && X509_add_ext(to, extension, -1) == 1, "extension");
    X509_EXTENSION_free(extension);
}

template <class Write>
void write_pem(const std::string& file, Write write) {
    std::FILE* out = std::fopen(file.c_str(), "w");
    must(out != nullptr, "file");
    const bool written = write(out) == 1;
    std::fclose(out);
    must(written, "PEM");
}

}  // namespace

Authority::Authority(const std::string& name)
    : key_(EVP_EC_gen("P-256")), paper_(make(name, {.names = ""}, true, key_.get())) {
    own_ = save("ca", paper_.get(), key_.get());
}

Authority::Paper Authority::make(const std::string& name,
                                 const Wanted& wanted,
                                 bool authority,
                                 EVP_PKEY* key) {
    Paper paper{X509_new()};
    X509* one = paper.get();
    X509* issuer = authority ? one : paper_.get();
    X509_set_version(one, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(one), ++issued_);
    X509_gmtime_adj(X509_getm_notBefore(one), wanted.from.count());
    X509_gmtime_adj(X509_getm_notAfter(one), wanted.until.count());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(one),
                               "CN",
                               MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.c_str()),
                               -1,
                               -1,
                               0);
    X509_set_issuer_name(one, X509_get_subject_name(issuer));
    X509_set_pubkey(one, key);
    add_extension(one, issuer, NID_basic_constraints, authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wanted.names.empty()) {
        add_extension(one, issuer, NID_subject_alt_name, wanted.names);
    }
    must(X509_sign(one, key_.get(), EVP_sha256()) > 0, "signature");
    return paper;
}

Certificate Authority::issue(const Wanted& wanted) {
    const Key key{EVP_EC_gen("P-256")};
    const std::string name = "issued-" + std::to_string(issued_);
    const Paper paper = make(name, wanted, false, key.get());
    return save(name, paper.get(), key.get());
}

Certificate Authority::save(const std::string& name, X509* paper, EVP_PKEY* key) const {
    const Certificate files{file(name + ".pem"), file(name + ".key")};
    write_pem(files.cert, [&](std::FILE* out) { return PEM_write_X509(out, paper); });
    write_pem(files.key, [&](std::FILE* out) {
        return PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    });
    return files;
}

std::string Authority::locked(const Certificate& certificate) const {
    std::FILE* in = std::fopen(certificate.key.c_str(), "r");
    must(in != nullptr, "file");
    const Key key{PEM_read_PrivateKey(in, nullptr, nullptr, nullptr)};
    std::fclose(in);
    std::string phrase = "open sesame";
    write_pem(certificate.key + ".locked", [&](std::FILE* out) {
        return PEM_write_PKCS8PrivateKey(out,
                                         key.get(),
                                         EVP_aes_128_cbc(),
                                         phrase.data(),
                                         static_cast<int>(phrase.size()),
                                         nullptr,
                                         nullptr);
    });
    return certificate.key + ".locked";
}

std::vector<std::string> tls_arguments(int port,
                                       const Certificate& certificate,
                                       const std::string& client_ca) {
    std::vector<std::string> arguments{"--tls-port",
                                       std::to_string(port),
                                       "--tls-cert-file",
                                       certificate.cert,
                                       "--tls-key-file",
                                       certificate.key,
                                       "--tls-auth-clients",
                                       client_ca.empty() ? "no" : "yes"};
    if (!client_ca.empty()) {
        arguments.insert(arguments.end(), {"--tls-ca-cert-file", client_ca});
    }
    return arguments;
}

}  // namespace holdfast::test
