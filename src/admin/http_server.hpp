#pragma once

// The HTTP port: a few pages for probes and scrapers, on a thread of its own, so that it answers
// also when everything else stands still. GET and HEAD only. A client gets 10 s for each request, 8
// KiB of headers and 1 KiB of body; more than 64 connections at once are closed.

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

namespace holdfast::admin {

struct Page {
    unsigned status = 200;  // of HTTP
    std::string body;
    std::string type = "text/plain; charset=utf-8";
};

// By path, for example "/livez". Called on the server's thread, one at a time.
using Pages = std::map<std::string, std::function<Page()>>;

// The address is in use, not of this machine, or not permitted.
class CannotListen : public std::runtime_error {
    using runtime_error::runtime_error;
};

class HttpServer {
public:
    // Listens on host:port or [ipv6]:port and serves at once. Throws CannotListen.
    HttpServer(const std::string& address, Pages pages);
    ~HttpServer();

    // With the real port, if 0 was asked for.
    std::string address() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::admin
