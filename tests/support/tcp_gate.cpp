#include "support/tcp_gate.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <deque>
#include <future>
#include <string>

namespace holdfast::test {

namespace asio = boost::asio;
using asio::ip::tcp;

// One connection through the gate. All on the gate's thread; writes are blocking, for they are
// small and to this machine.
class TcpGate::Link : public std::enable_shared_from_this<TcpGate::Link> {
public:
    Link(TcpGate& gate, tcp::socket client)
        : gate_(gate), client_(std::move(client)), server_(gate.context_) {}

    void start() {
        boost::system::error_code error;
        server_.connect(
            {asio::ip::address_v4::loopback(), static_cast<unsigned short>(gate_.upstream_port_)},
            error);
        client_.set_option(tcp::no_delay{true}, error);
        boost::system::error_code gone;
        from_ = client_.remote_endpoint(gone).address().to_string();
        if (!server_.is_open() || error) {
            close();
            return;
        }
        read_request();
        read_reply();
    }

    void close() {
        boost::system::error_code ignored;
        client_.set_option(asio::socket_base::linger{true, 0}, ignored);  // a reset, not an end
        client_.close(ignored);
        server_.close(ignored);
        gate_.links_.erase(shared_from_this());
    }

    void let_go() {
        const bool held = from_ == gate_.held_client_;
        if (!gate_.hold_requests_ && !held) {
            send(server_, held_requests_);
        }
        if (!gate_.hold_replies_ && !held) {
            pass_replies(std::exchange(held_replies_, {}));
        }
    }

private:
    void read_request() {
        client_.async_read_some(
            asio::buffer(from_client_), [self = shared_from_this()](auto error, std::size_t bytes) {
                if (error) {
                    self->close();
                    return;
                }
                self->later(
                    self->slow_requests_, self->held_requests_, {self->from_client_.data(), bytes});
                self->read_request();
            });
    }

    void read_reply() {
        server_.async_read_some(asio::buffer(from_server_),
                                [self = shared_from_this()](auto error, std::size_t bytes) {
                                    if (error) {
                                        self->close();
                                        return;
                                    }
                                    if (!self->gate_.drop_replies_) {
                                        self->later(self->slow_replies_,
                                                    self->held_replies_,
                                                    {self->from_server_.data(), bytes});
                                    }
                                    self->read_reply();
                                });
    }

    // Bytes go on to `held` after the gate's delay. Each timer passes on the oldest, whichever it was set for.
    void later(std::deque<std::string>& slow, std::string& held, std::string bytes) {
        if (gate_.delay_ == std::chrono::milliseconds{0} && slow.empty()) {
            held += bytes;
            let_go();
            return;
        }
        slow.push_back(std::move(bytes));
        const auto timer = std::make_shared<asio::steady_timer>(gate_.context_, gate_.delay_);
        timer->async_wait([self = shared_from_this(), timer, &slow, &held](auto) {
            held += slow.front();
            slow.pop_front();
            self->let_go();
        });
    }

    void pass_replies(std::string bytes) {
        if (gate_.cut_after_ && passed_ + bytes.size() >= *gate_.cut_after_) {
            bytes.resize(*gate_.cut_after_ - std::min(*gate_.cut_after_, passed_));
            send(client_, bytes);
            end_after_replies();
            return;
        }
        passed_ += bytes.size();
        if (!gate_.byte_by_byte_) {
            send(client_, bytes);
            return;
        }
        for (const char byte : bytes) {
            std::string one(1, byte);
            send(client_, one);
        }
    }

    // An end after the bytes, not a reset: that could overtake them.
    void end_after_replies() {
        boost::system::error_code ignored;
        client_.shutdown(tcp::socket::shutdown_both, ignored);
        client_.close(ignored);
        server_.close(ignored);
        gate_.links_.erase(shared_from_this());
    }

    static void send(tcp::socket& to, std::string& bytes) {
        boost::system::error_code ignored;  // the reader notices a broken connection
        asio::write(to, asio::buffer(bytes), ignored);
        bytes.clear();
    }

    TcpGate& gate_;
    tcp::socket client_;
    tcp::socket server_;
    std::array<char, 65536> from_client_{};
    std::array<char, 65536> from_server_{};
    std::deque<std::string> slow_requests_;
    std::deque<std::string> slow_replies_;
    std::string from_;
    std::string held_requests_;
    std::string held_replies_;
    std::size_t passed_ = 0;
};

TcpGate::TcpGate(int upstream_port)
    : acceptor_(context_, {asio::ip::address_v4::loopback(), 0}),
      upstream_port_(upstream_port),
      port_(acceptor_.local_endpoint().port()) {
    accept();
    thread_ = std::thread{[this] {
        const auto work = asio::make_work_guard(context_);
        context_.run();
    }};
}

TcpGate::~TcpGate() {
    context_.stop();
    thread_.join();
    links_.clear();
}

void TcpGate::accept() {
    acceptor_.async_accept([this](auto error, tcp::socket client) {
        if (error) {
            return;
        }
        ++accepted_;
        if (!refuse_) {
            const auto link = std::make_shared<Link>(*this, std::move(client));
            links_.insert(link);
            link->start();
        }
        accept();
    });
}

// Runs the change on the gate's thread and waits for it.
template <class Change>
void TcpGate::apply(Change change) {
    std::promise<void> applied;
    asio::post(context_, [&] {
        change();
        const auto links = links_;
        for (const auto& link : links) {
            link->let_go();
        }
        applied.set_value();
    });
    applied.get_future().wait();
}

void TcpGate::lead_to(int upstream_port) {
    apply([this, upstream_port] { upstream_port_ = upstream_port; });
}

void TcpGate::cut() {
    apply([this] {
        const auto links = links_;
        for (const auto& link : links) {
            link->close();
        }
    });
}

void TcpGate::refuse(bool on) {
    apply([this, on] { refuse_ = on; });
}
void TcpGate::hold_requests(bool on) {
    apply([this, on] { hold_requests_ = on; });
}
void TcpGate::hold_replies(bool on) {
    apply([this, on] { hold_replies_ = on; });
}
void TcpGate::hold_from(const std::string& client) {
    apply([this, client] { held_client_ = client; });
}
void TcpGate::drop_replies(bool on) {
    apply([this, on] { drop_replies_ = on; });
}
void TcpGate::byte_by_byte(bool on) {
    apply([this, on] { byte_by_byte_ = on; });
}
void TcpGate::delay(std::chrono::milliseconds each_way) {
    apply([this, each_way] { delay_ = each_way; });
}
void TcpGate::cut_after(std::optional<std::size_t> reply_bytes) {
    apply([this, reply_bytes] { cut_after_ = reply_bytes; });
}

}  // namespace holdfast::test
