#include "redis/stream.hpp"

namespace holdfast::redis {

namespace ssl = boost::asio::ssl;

void Stream::close() {
    boost::system::error_code ignored;  // closing cannot fail in a way that matters
    socket_.close(ignored);
}

boost::asio::awaitable<std::string> Stream::secure(TlsContext context, std::string name) {
    context_ = std::move(context);
    tls_.emplace(socket_, *context_);
    if (!expect_server(tls_->native_handle(), name)) {
        co_return "no certificate can be for \"" + name + "\"; set store.tls_server_name";
    }
    std::string refusal;  // more than the error of the handshake tells
    tls_->set_verify_callback([&](bool verified, ssl::verify_context& found) {
        if (!verified && refusal.empty()) {
            refusal = refusal_in_words(found, name);
        }
        return verified;
    });
    const auto [error] = co_await tls_->async_handshake(ssl::stream_base::client, kAwait);
    // TLS 1.2 may verify again later, if the server renegotiates: then without our words.
    tls_->set_verify_callback([](bool verified, ssl::verify_context&) { return verified; });
    if (!error) {
        co_return std::string{};
    }
    co_return refusal.empty() ? error_in_words(error) : refusal;
}

}  // namespace holdfast::redis
