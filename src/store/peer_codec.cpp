#include "store/peer_codec.hpp"

#include "redis/client.hpp"
#include "redis/reply.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace holdfast::store {
namespace {

using Fields = std::vector<std::string>;

constexpr char kQuestion = 'Q';
constexpr char kAnswer = 'A';
constexpr char kOffers = 'H';
constexpr std::size_t kStationBytes = 8;
constexpr std::size_t kMaxText = 256;  // an owner's; of ids, names of events and addresses, too
constexpr std::size_t kMaxLeaseId = 1024;
constexpr std::int64_t kMaxPriority = 1000;
constexpr std::int64_t kMaxNumber = std::int64_t{1} << 53;

std::string written(char kind, const Fields& fields) {
    return kind + redis::format_command({fields.begin(), fields.end()});
}

void add_row(Fields& fields, const char* tag, const Fields& row) {
    fields.emplace_back(tag);
    fields.push_back(std::to_string(row.size()));
    fields.insert(fields.end(), row.begin(), row.end());
}

std::string text_of(core::Milliseconds time) {
    return std::to_string(time.count());
}

// Reads fields in order. After the first that is not as it must be, all are empty and ok() is false.
class Reader {
public:
    Reader(redis::Value array, std::size_t from, std::size_t end)
        : array_(array), at_(from), end_(end) {}

    bool ok() const { return ok_; }
    bool done() const { return !ok_ || at_ >= end_; }

    std::string_view bytes(std::size_t most = kMaxText) {
        if (at_ >= end_ || !array_[at_].is_string() || array_[at_].text().size() > most) {
            ok_ = false;
            return {};
        }
        return array_[at_++].text();
    }
    std::string text() {
        const std::string_view field = bytes();
        ok_ = ok_ && core::is_clean_utf8(field);
        return ok_ ? std::string{field} : std::string{};
    }
    std::int64_t number(std::int64_t least = 0) {
        const std::string_view field = bytes();
        std::int64_t value = 0;
        const auto [stop, error] =
            std::from_chars(field.data(), field.data() + field.size(), value);
        ok_ = ok_ && error == std::errc{} && stop == field.data() + field.size() &&
              value >= least && value <= kMaxNumber;
        return ok_ ? value : 0;
    }
    std::uint64_t count() { return static_cast<std::uint64_t>(number()); }
    core::Milliseconds time() { return core::Milliseconds{number()}; }
    std::string station() {
        const std::string_view field = bytes();
        ok_ = ok_ && is_station(field);
        return ok_ ? std::string{field} : std::string{};
    }

    // The next row: its tag, and a reader of its fields.
    std::pair<std::string_view, Reader> row() {
        const std::string_view tag = bytes();
        const std::size_t size = count();
        const std::size_t from = at_;
        ok_ = ok_ && size <= end_ - at_;
        at_ = ok_ ? at_ + size : end_;
        return {tag, Reader{array_, from, at_}};
    }

private:
    redis::Value array_;
    std::size_t at_;
    std::size_t end_;
    bool ok_ = true;
};

core::Mode mode_of(Reader& row) {
    const std::string_view letter = row.bytes();
    return letter == "s"   ? core::Mode::shared
           : letter == "p" ? core::Mode::permit
                           : core::Mode::exclusive;
}

const char* letter_of(core::Mode mode) {
    switch (mode) {
        case core::Mode::exclusive:
            return "x";
        case core::Mode::shared:
            return "s";
        case core::Mode::permit:
            return "p";
    }
    return "";
}

template <class T>
void put(std::vector<T>& list, std::size_t most, bool& cut, T one) {
    if (list.size() < most) {
        list.push_back(std::move(one));
    } else {
        cut = true;
    }
}

bool read_row(std::string_view tag, Reader& row, core::PeerAnswer& into) {
    using core::PeerAnswer;
    // In braces, arguments are evaluated from left to right.
    if (tag == "w") {
        put(into.waiters,
            PeerAnswer::kMostWaiters,
            into.cut,
            core::WaiterReport{
                row.text(),
                mode_of(row),
                static_cast<int>(std::clamp(row.number(-kMaxNumber), -kMaxPriority, kMaxPriority)),
                row.time(),
                row.number(-kMaxNumber)});
    } else if (tag == "t") {
        put(into.transitions,
            PeerAnswer::kMostTransitions,
            into.cut,
            core::TransitionReport{
                row.time(), row.text(), row.text(), core::FencingToken{row.count()}});
    } else if (tag == "s") {
        put(into.streams,
            PeerAnswer::kMostStreams,
            into.cut,
            core::StreamReport{row.text(), row.time(), row.count(), row.count()});
    }
    return row.ok();
}

std::optional<PeerMessage> read_question(Reader fields) {
    Question question;
    question.id = fields.text();
    question.from = fields.station();
    const std::string_view kind = fields.bytes();
    if (kind == "explain") {
        question.what.kind = core::PeerQuestion::Kind::explain;
        const auto name =
            core::LockName::parse(std::string{fields.bytes(core::LockName::kMaxBytes)});
        if (!name) {
            return std::nullopt;
        }
        question.what.subject = name->text();
    } else if (kind == "streams") {
        question.what.kind = core::PeerQuestion::Kind::streams;
    } else {
        return std::nullopt;
    }
    return fields.ok() ? std::optional<PeerMessage>{std::move(question)} : std::nullopt;
}

std::optional<PeerMessage> read_answer(Reader fields) {
    Answer answer;
    answer.id = fields.text();
    answer.station = fields.station();
    answer.what.cut = fields.number() != 0;
    while (!fields.done()) {
        auto [tag, row] = fields.row();
        if (!read_row(tag, row, answer.what)) {
            return std::nullopt;
        }
    }
    return fields.ok() ? std::optional<PeerMessage>{std::move(answer)} : std::nullopt;
}

std::optional<PeerMessage> read_offers(Reader fields) {
    Offers offers;
    offers.valid_until_us = fields.number();
    while (!fields.done()) {
        auto [tag, row] = fields.row();
        if (tag != "o") {
            continue;
        }
        const auto lease = core::decode_lease_id(row.bytes(kMaxLeaseId));
        const core::Ttl ttl{row.time()};
        const std::int64_t until = row.number();
        const std::string from = row.station();
        if (!lease || !row.ok() || offers.offers.size() == kMaxOffers) {
            return std::nullopt;
        }
        offers.offers.push_back({*lease, ttl, until, from});
    }
    return fields.ok() ? std::optional<PeerMessage>{std::move(offers)} : std::nullopt;
}

}  // namespace

bool is_station(std::string_view text) {
    return text.size() == kStationBytes && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
           });
}

std::string encode(const Question& question) {
    const bool explains = question.what.kind == core::PeerQuestion::Kind::explain;
    return written(
        kQuestion,
        {question.id, question.from, explains ? "explain" : "streams", question.what.subject});
}

std::string encode(const Answer& answer) {
    Fields fields{answer.id, answer.station, answer.what.cut ? "1" : "0"};
    for (const core::WaiterReport& one : answer.what.waiters) {
        add_row(fields,
                "w",
                {one.owner,
                 letter_of(one.mode),
                 std::to_string(one.priority),
                 text_of(one.waiting_for),
                 std::to_string(one.arrival_us)});
    }
    for (const core::TransitionReport& one : answer.what.transitions) {
        add_row(
            fields, "t", {text_of(one.ago), one.what, one.owner, std::to_string(one.token.value)});
    }
    for (const core::StreamReport& one : answer.what.streams) {
        add_row(fields,
                "s",
                {one.peer,
                 text_of(one.connected_for),
                 std::to_string(one.leases),
                 std::to_string(one.waiting)});
    }
    return written(kAnswer, fields);
}

std::string encode(const Offers& offers) {
    Fields fields{std::to_string(offers.valid_until_us)};
    for (const Offers::Offer& one : offers.offers) {
        add_row(fields,
                "o",
                {core::encode_lease_id(one.lease),
                 text_of(one.ttl.value),
                 std::to_string(one.until_us),
                 one.from});
    }
    return written(kOffers, fields);
}

std::optional<PeerMessage> decode_peer_message(std::string_view payload) {
    if (payload.empty() || payload.size() > kMaxPeerMessage ||
        std::string_view{"QAH"}.find(payload.front()) == std::string_view::npos) {
        return std::nullopt;
    }
    redis::ReplyReader reader;
    bool broken = false;
    if (!reader.feed(payload.substr(1))) {
        return std::nullopt;
    }
    const auto reply = reader.next(broken);
    if (broken || !reply || !reply->value().is_array()) {
        return std::nullopt;
    }
    const Reader fields{reply->value(), 0, reply->value().size()};
    switch (payload.front()) {
        case kQuestion:
            return read_question(fields);
        case kAnswer:
            return read_answer(fields);
        case kOffers:
            return read_offers(fields);
        default:
            return std::nullopt;
    }
}

}  // namespace holdfast::store
