#include "store/redis_peers.hpp"

#include "store/lua_scripts.hpp"
#include "store/notices.hpp"

#include <absl/strings/escaping.h>

#include <memory>
#include <utility>

namespace holdfast::store {
namespace {

constexpr core::Milliseconds kRefresh{3000};
// An offer that is read later than this is left alone: the lease may be another's care by then.
constexpr core::Milliseconds kOfferLife{1000};
constexpr std::size_t kStationBytes = 8;
constexpr std::size_t kIdBytes = 12;

// In no lock's key, whatever the prefix.
constexpr char kMark = '\x01';

core::StoreError too_many() {
    return {core::StoreFailure::not_executed, "too many questions to other daemons are open"};
}

}  // namespace

RedisPeers::RedisPeers(redis::Client& client,
                       const core::Clock& clock,
                       core::TimerQueue& timers,
                       core::HolderIdSource& ids,
                       Options options,
                       Local local)
    : clock_(clock),
      ids_(ids),
      options_(std::move(options)),
      local_(std::move(local)),
      runner_(client),
      script_(kLua_stations),
      key_(key_of(options_.prefix)),
      member_(options_.station + options_.daemon),
      gathering_(clock, timers),
      random_(options_.seed),
      refresh_(timers) {}

std::string RedisPeers::key_of(const std::string& prefix) {
    return std::string{"holdfast:"} + kMark + "stations:" + prefix;
}

void RedisPeers::start() {
    if (left_) {
        return;
    }
    refresh_.set(clock_.now() + kRefresh, [this] { start(); });
    run(member_, "", "", [](const Reply&) {});
}

void RedisPeers::leave(absl::AnyInvocable<void()> done) {
    left_ = true;
    refresh_.cancel();
    run("", member_, "", [done = std::move(done)](const Reply&) mutable { done(); });
}

void RedisPeers::run(std::string_view in,
                     std::string_view out,
                     std::string_view message,
                     ScriptRunner::Done done) {
    runner_.run({script_, 0, {key_}, {in, out, message}, options_.timeout},
                [this, done = std::move(done)](Reply reply) mutable {
                    if (reply) {
                        learn(reply->value());
                    }
                    done(std::move(reply));
                });
}

void RedisPeers::learn(const redis::Value& reply) {
    known_.clear();
    for (std::size_t at = 1; at + 1 < reply.size(); at += 2) {
        const std::string_view member = reply[at].text();
        const std::string_view station = member.substr(0, kStationBytes);
        const std::string_view daemon = member.substr(station.size());
        if (is_station(station) && core::is_clean_utf8(daemon)) {
            known_.push_back(
                {std::string{station}, std::string{daemon}, reply[at + 1].integer() > 0});
        }
    }
}

void RedisPeers::ask(core::PeerQuestion question, core::StoreDone<core::PeerAnswers> done) {
    const std::string id =
        absl::BytesToHexString(absl::string_view{ids_.next().view().data(), kIdBytes});
    const auto shared = std::make_shared<core::StoreDone<core::PeerAnswers>>(std::move(done));
    if (!gathering_.open(id, [shared](auto gathered) { (*shared)(std::move(gathered)); })) {
        (*shared)(tl::unexpected(too_many()));
        return;
    }
    const std::string message = encode(Question{id, options_.station, std::move(question)});
    run(left_ ? "" : member_, "", message, [this, id, shared](const Reply& reply) {
        if (reply) {
            gathering_.expect(id, known_);
        } else {
            gathering_.abandon(id);
            (*shared)(tl::unexpected(reply.error()));
        }
    });
}

bool RedisPeers::heard(std::string_view payload) {
    auto message = decode_peer_message(payload);
    if (!message) {
        return false;
    }
    if (const auto* question = std::get_if<Question>(&*message)) {
        publish(question->from,
                encode(Answer{question->id, options_.station, local_.answer(question->what)}));
    } else if (auto* answer = std::get_if<Answer>(&*message)) {
        gathering_.answered(answer->id, answer->station, std::move(answer->what));
    } else {
        take_up(std::get<Offers>(*message));
    }
    return true;
}

void RedisPeers::take_up(const Offers& offers) {
    if (left_ || local_.store_time(clock_.now()) > offers.valid_until_us) {
        return;
    }
    for (const Offers::Offer& offer : offers.offers) {
        local_.adopt(offer);
    }
}

bool RedisPeers::offer(const std::vector<Offers::Offer>& leases) {
    std::vector<std::string_view> others;
    for (const auto& one : known_) {
        if (one.daemon != options_.daemon) {
            others.push_back(one.station);
        }
    }
    if (others.empty()) {
        return false;
    }
    const std::string_view chosen =
        others[std::uniform_int_distribution<std::size_t>{0, others.size() - 1}(random_)];
    Offers offers{local_.store_time(clock_.now() + kOfferLife), {}};
    for (const Offers::Offer& lease : leases) {
        offers.offers.push_back(lease);
        offers.offers.back().from = options_.station;
        if (offers.offers.size() == kMaxOffers) {
            publish(chosen, encode(offers));
            offers.offers.clear();
        }
    }
    if (!offers.offers.empty()) {
        publish(chosen, encode(offers));
    }
    return true;
}

void RedisPeers::publish(std::string_view station, const std::string& message) {
    const std::string channel = Notices::channel_of(station);
    runner_.command({"PUBLISH", channel, message}, options_.timeout, [](const Reply&) {});
}

}  // namespace holdfast::store
