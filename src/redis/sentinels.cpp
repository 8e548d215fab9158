#include "redis/sentinels.hpp"

#include <charconv>
#include <sstream>
#include <utility>

namespace holdfast::redis {
namespace {

using namespace std::chrono_literals;

constexpr auto kInterval = 1s;
constexpr auto kEagerInterval = 100ms;  // while the primary is not reached
constexpr const char* kSwitchChannel = "+switch-master";

std::optional<Address> parse_address(std::string_view host, std::string_view port) {
    Address address{std::string{host}, 0};
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    const bool whole = error == std::errc{} && end == port.data() + port.size();
    return whole && address.port > 0 && !host.empty() ? std::optional{address} : std::nullopt;
}

Settings settings_for(const Address& address, const Settings& settings) {
    Settings own = settings;
    own.host = address.host;
    own.port = address.port;
    own.user = settings.sentinels.user;
    own.password = settings.sentinels.password;
    own.password_file.clear();
    own.access = nullptr;  // of its own, with the same TLS
    own.to_sentinel = true;
    own.topology = nullptr;
    return own;
}

}  // namespace

Sentinels::Sentinels(boost::asio::io_context& context, const Settings& settings, OnMove on_move)
    : context_(context),
      master_(settings.sentinels.master),
      timeout_(settings.connect_timeout),
      on_move_(std::move(on_move)),
      timer_(context),
      vote_(settings.sentinels.addresses.size()) {
    for (const Address& address : settings.sentinels.addresses) {
        add_seat(address, settings);
    }
}

Sentinels::~Sentinels() {
    stop();
}

void Sentinels::add_seat(const Address& address, const Settings& settings) {
    const std::size_t number = seats_.size();
    const Settings own = settings_for(address, settings);
    const auto seed = settings.seed + static_cast<std::uint32_t>(number);
    const auto is_new = [this, number] {
        vote_.is_new(number);
        ask(number);
    };
    Seat seat{address, {}, {}, "not asked yet"};
    seat.asked =
        std::make_shared<Connection>(context_, own, seed, [is_new](const ServerInfo* server) {
            if (server != nullptr) {
                is_new();
            }
        });
    seat.heard = std::make_shared<Subscriber>(
        context_,
        own,
        seed,
        [this, number](auto, std::string_view payload) { on_message(number, payload); },
        [is_new](bool) { is_new(); });
    seat.heard->subscribe(kSwitchChannel);
    seats_.push_back(std::move(seat));
}

void Sentinels::start() {
    for (const Seat& seat : seats_) {
        seat.asked->start();
        seat.heard->start();
    }
    tick();
}

void Sentinels::stop() {
    if (std::exchange(stopping_, true)) {
        return;
    }
    timer_.cancel();
    for (const Seat& seat : seats_) {
        seat.asked->stop();
        seat.heard->stop();
    }
}

void Sentinels::tick() {
    timer_.expires_after(failing_ ? std::chrono::milliseconds{kEagerInterval} : kInterval);
    timer_.async_wait([this](auto error) {
        if (error || stopping_) {
            return;
        }
        for (std::size_t i = 0; i < seats_.size(); ++i) {
            ask(i);
        }
        tick();
    });
}

void Sentinels::ask(std::size_t number) {
    Seat& seat = seats_[number];
    if (seat.asking || stopping_) {
        return;
    }
    Command command{format_command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", master_}),
                    timeout_,
                    [this, number, messages = seat.messages](const Outcome& outcome) {
                        on_answer(number, messages, outcome);
                    },
                    {}};
    if (!seat.asked->send(command)) {
        seat.asking = true;
    } else if (seat.asked->counters().failed_connects > 0 ||
               seat.asked->counters().connects > 0) {  // else it is being tried for the first time
        silent(number, "unreachable: " + seat.asked->last_error());
    }
}

void Sentinels::on_answer(std::size_t number, std::uint64_t messages, const Outcome& outcome) {
    Seat& seat = seats_[number];
    seat.asking = false;
    if (stopping_) {
        return;
    }
    const auto* reply = std::get_if<Reply>(&outcome);
    if (messages != seat.messages) {
        ask(number);
    } else if (reply == nullptr) {
        silent(number, "does not answer");
    } else if ((*reply)->is_error()) {
        silent(number, "answers: " + std::string{(*reply)->text()});
    } else if (auto address =
                   parse_address((*reply).value()[0].text(), (*reply).value()[1].text())) {
        seat.why.clear();
        vote([&] { return vote_.says(number, *std::move(address)); });
    } else {
        silent(number, "knows no master " + master_);
    }
}

// "<master> <old host> <old port> <new host> <new port>"
void Sentinels::on_message(std::size_t number, std::string_view payload) {
    std::istringstream words{std::string{payload}};
    std::string name;
    std::string ignored;
    std::string host;
    std::string port;
    words >> name >> ignored >> ignored >> host >> port;
    auto address = parse_address(host, port);
    if (name != master_ || !address || stopping_) {
        return;
    }
    ++seats_[number].messages;
    vote([&] { return vote_.says(number, *std::move(address)); });
}

void Sentinels::silent(std::size_t number, std::string_view why) {
    seats_[number].why = why;
    vote([&] { return vote_.is_silent(number); });
}

void Sentinels::reached(const Address& server) {
    vote_.reached(server);
    failing_ = failing_ && primary() != server;
}

void Sentinels::failed(const Address& server) {
    if (stopping_ || primary() != server) {
        return;
    }
    if (!std::exchange(failing_, true)) {
        timer_.cancel();
        tick();  // sooner
    }
    vote([&] { return vote_.failed(server); });
}

template <class Change>
void Sentinels::vote(Change change) {
    const auto from = vote_.primary();
    if (!change()) {
        return;
    }
    failing_ = true;
    moves_ += from ? 1 : 0;
    const Address to = *vote_.primary();
    on_move_(from, to);
}

std::string Sentinels::why_unknown() const {
    std::string why;
    for (std::size_t i = 0; i < seats_.size(); ++i) {
        const auto& answer = vote_.answer(i);
        why += (i == 0 ? "no primary known: sentinel " : ", ") + seats_[i].address.text() + ' ' +
               (answer ? "says " + answer->text() : seats_[i].why);
    }
    return why;
}

}  // namespace holdfast::redis
