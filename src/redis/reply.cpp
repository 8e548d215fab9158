#include "redis/reply.hpp"

#include "redis/client.hpp"

#include <hiredis/hiredis.h>

#include <array>
#include <charconv>
#include <new>

namespace holdfast::redis {
namespace {

// hiredis allocates an array's slots before it has seen the elements; this bounds that. The count
// is an int in hiredis 0.14 and a size_t in 1.x.
template <class Count>
void* create_bounded_array(const redisReadTask* task, Count count);

struct Functions {
    redisReplyObjectFunctions bounded{};
    decltype(redisReplyObjectFunctions::createArray) create_array = nullptr;

    Functions() {
        const std::unique_ptr<redisReader, void (*)(redisReader*)> probe{redisReaderCreate(),
                                                                         redisReaderFree};
        if (!probe) {
            throw std::bad_alloc{};
        }
        bounded = *probe->fn;
        create_array = bounded.createArray;
        bounded.createArray = &create_bounded_array;
    }
};

// Constant after its first use; hiredis gives a function no way to reach anything else.
const Functions& functions() {
    static const Functions kFunctions;
    return kFunctions;
}

template <class Count>
void* create_bounded_array(const redisReadTask* task, Count count) {
    if (static_cast<std::size_t>(count) > ReplyReader::kMaxArrayElements) {
        return nullptr;  // hiredis reports "out of memory"; the connection is closed
    }
    return functions().create_array(task, count);
}

}  // namespace

bool Value::is_error() const {
    return raw_ != nullptr && raw_->type == REDIS_REPLY_ERROR;
}
bool Value::is_nil() const {
    return raw_ == nullptr || raw_->type == REDIS_REPLY_NIL;
}
bool Value::is_integer() const {
    return raw_ != nullptr && raw_->type == REDIS_REPLY_INTEGER;
}
bool Value::is_array() const {
    return raw_ != nullptr && raw_->type == REDIS_REPLY_ARRAY;
}

bool Value::is_string() const {
    return raw_ != nullptr &&
           (raw_->type == REDIS_REPLY_STRING || raw_->type == REDIS_REPLY_STATUS);
}

std::int64_t Value::integer() const {
    return is_integer() ? raw_->integer : 0;
}

std::string_view Value::text() const {
    return is_string() || is_error()
               ? std::string_view{raw_->str, static_cast<std::size_t>(raw_->len)}
               : std::string_view{};
}

std::size_t Value::size() const {
    return is_array() ? static_cast<std::size_t>(raw_->elements) : 0;
}

Value Value::operator[](std::size_t index) const {
    return Value{index < size() ? raw_->element[index] : nullptr};
}

void Reply::Free::operator()(redisReply* raw) const {
    freeReplyObject(raw);
}

Reply::Reply(redisReply* raw) : raw_(raw), view_(raw) {}

struct ReplyReader::Raw {
    std::unique_ptr<redisReader, void (*)(redisReader*)> reader{redisReaderCreate(),
                                                                redisReaderFree};
};

ReplyReader::ReplyReader() : raw_(std::make_unique<Raw>()) {
    if (!raw_->reader) {
        throw std::bad_alloc{};
    }
    // hiredis' pointer is not const in 0.14, though it never writes through it.
    raw_->reader->fn = const_cast<redisReplyObjectFunctions*>(&functions().bounded);
}

ReplyReader::~ReplyReader() = default;

bool ReplyReader::feed(std::string_view bytes) {
    since_last_ += bytes.size();
    return since_last_ <= kMaxReplyBytes &&
           redisReaderFeed(raw_->reader.get(), bytes.data(), bytes.size()) == REDIS_OK;
}

std::optional<Reply> ReplyReader::next(bool& broken) {
    void* reply = nullptr;
    if (redisReaderGetReply(raw_->reader.get(), &reply) != REDIS_OK) {
        broken = true;
        return {};
    }
    if (reply == nullptr) {
        return {};
    }
    since_last_ = 0;
    return Reply{static_cast<redisReply*>(reply)};
}

// Not by hiredis' formatter: that goes through printf for each argument, and a script has two dozen.
std::string format_command(const std::vector<std::string_view>& arguments) {
    constexpr std::size_t kMostDigits = 20;
    constexpr std::size_t kFraming = 1 + kMostDigits + 4;  // $ or *, a number, two line ends
    std::size_t most = kFraming;
    for (const std::string_view argument : arguments) {
        most += kFraming + argument.size();
    }
    std::string wire;
    wire.reserve(most);
    const auto append_count = [&wire](char kind, std::size_t count) {
        std::array<char, kMostDigits> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), count).ptr;
        wire += kind;
        wire.append(digits.data(), end);
        wire += "\r\n";
    };
    append_count('*', arguments.size());
    for (const std::string_view argument : arguments) {
        append_count('$', argument.size());
        wire += argument;
        wire += "\r\n";
    }
    return wire;
}

}  // namespace holdfast::redis
