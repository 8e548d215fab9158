#pragma once

// Certificates of a test's own, as PEM files in a directory of their own.

#include "support/process.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace holdfast::test {

struct Certificate {
    std::string cert;  // file names
    std::string key;
};

class Authority {
public:
    explicit Authority(const std::string& name = "Test CA");

    // The file of its own certificate.
    std::string ca() const { return own_.cert; }
    std::string file(const std::string& name) const { return directory_.file(name); }

    struct Wanted {
        std::string names = "DNS:localhost,IP:127.0.0.1";  // alternative names; empty: none
        std::chrono::seconds from = -std::chrono::hours{1};
        std::chrono::seconds until = std::chrono::hours{1};
    };
    // Two new files.
    Certificate issue(const Wanted& wanted);
    Certificate issue() { return issue({}); }
    // The key in a file that only a passphrase opens.
    std::string locked(const Certificate& certificate) const;

private:
    struct Freed {
        void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
        void operator()(X509* certificate) const { X509_free(certificate); }
    };
    using Key = std::unique_ptr<EVP_PKEY, Freed>;
    using Paper = std::unique_ptr<X509, Freed>;

    Paper make(const std::string& name, const Wanted& wanted, bool authority, EVP_PKEY* key);
    Certificate save(const std::string& name, X509* paper, EVP_PKEY* key) const;

    TempDir directory_;
    Key key_;
    Paper paper_;
    Certificate own_;
    long issued_ = 0;
};

// More arguments for a RedisProcess that also listens with TLS.
std::vector<std::string> tls_arguments(int port,
                                       const Certificate& certificate,
                                       const std::string& client_ca = "");

}  // namespace holdfast::test
