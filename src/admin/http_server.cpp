#include "admin/http_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>

namespace holdfast::admin {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;

constexpr std::chrono::seconds kRequestTimeout{10};
constexpr std::chrono::milliseconds kAcceptPause{100};  // after an error such as EMFILE
constexpr std::size_t kMaxHeaderBytes = 8 * 1024;
constexpr std::size_t kMaxBodyBytes = 1024;  // read only to be able to say no
constexpr int kMaxConnections = 64;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

std::string text_of(const Tcp::endpoint& endpoint) {
    const std::string host = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" +
           std::to_string(endpoint.port());
}

Tcp::acceptor listen(asio::io_context& context, const std::string& address) {
    const auto colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    try {
        const auto found =
            Tcp::resolver{context}.resolve(host, address.substr(colon + 1), Tcp::resolver::passive);
        return Tcp::acceptor{context, found.begin()->endpoint()};
    } catch (const boost::system::system_error& error) {
        throw CannotListen("cannot listen on " + address +
                           " (listen.http): " + error.code().message());
    }
}

Page page_for(const Pages& pages, const Request& request) {
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
        return {405, "only GET and HEAD are served here\n"};
    }
    const std::string target{request.target()};
    const auto found = pages.find(target.substr(0, target.find('?')));
    if (found == pages.end()) {
        Page page{404, "there is no such page; there are:\n"};
        for (const auto& [path, make] : pages) {
            page.body += path + "\n";
        }
        return page;
    }
    return found->second();
}

}  // namespace

struct HttpServer::Impl {
    Impl(const std::string& address, Pages served)
        : pages(std::move(served)), acceptor(listen(context, address)) {}

    asio::awaitable<void> accept();
    asio::awaitable<void> serve(Tcp::socket socket);

    Pages pages;
    asio::io_context context{1};
    Tcp::acceptor acceptor;
    int connections = 0;
    std::thread thread;
};

asio::awaitable<void> HttpServer::Impl::accept() {
    for (;;) {
        auto [error, socket] = co_await acceptor.async_accept(kAwait);
        if (error) {
            asio::steady_timer pause{context, kAcceptPause};
            co_await pause.async_wait(kAwait);
        } else if (connections < kMaxConnections) {
            asio::co_spawn(context, serve(std::move(socket)), asio::detached);
        }
    }
}

asio::awaitable<void> HttpServer::Impl::serve(Tcp::socket socket) {
    ++connections;
    beast::tcp_stream stream{std::move(socket)};
    beast::flat_buffer buffer;
    for (bool keep = true; keep;) {
        http::request_parser<http::string_body> parser;
        parser.header_limit(kMaxHeaderBytes);
        parser.body_limit(kMaxBodyBytes);
        stream.expires_after(kRequestTimeout);
        const auto [read_error, read_bytes] =
            co_await http::async_read(stream, buffer, parser, kAwait);
        if (read_error) {
            break;
        }
        const Request& request = parser.get();
        Page page = page_for(pages, request);
        Response response{http::int_to_status(page.status), request.version()};
        response.set(http::field::content_type, page.type);
        response.set(http::field::cache_control, "no-store");
        response.keep_alive(request.keep_alive());
        const std::size_t length = page.body.size();
        if (request.method() != http::verb::head) {
            response.body() = std::move(page.body);
        }
        response.content_length(length);
        stream.expires_after(kRequestTimeout);
        const auto [write_error, written] = co_await http::async_write(stream, response, kAwait);
        keep = !write_error && response.keep_alive();
    }
    boost::system::error_code ignored;  // the client may have closed first
    stream.socket().shutdown(Tcp::socket::shutdown_send, ignored);
    --connections;
}

HttpServer::HttpServer(const std::string& address, Pages pages)
    : impl_(std::make_unique<Impl>(address, std::move(pages))) {
    asio::co_spawn(impl_->context, impl_->accept(), asio::detached);
    impl_->thread = std::thread{[this] { impl_->context.run(); }};
}

HttpServer::~HttpServer() {
    impl_->context.stop();
    impl_->thread.join();
}

std::string HttpServer::address() const {
    return text_of(impl_->acceptor.local_endpoint());
}

}  // namespace holdfast::admin
