#include "client/canopy/error.h"

#include "client/events.h"
#include "core/wire/fault.h"

namespace canopy {
namespace {

const char* name_of(unsigned number) {
  if (number == Error::timeout) return "timeout";
  if (number == Error::closed) return "closed";
  if (number == Error::cancelled) return "cancelled";
  // A literal, so it ends with a zero.
  return wire::known(number) ? wire::name(static_cast<wire::Fault>(number)).data() : "";
}

std::string what_of(unsigned number, const std::string& text) {
  const std::string name = name_of(number);
  if (name.empty()) return "error " + std::to_string(number) + ": " + text;
  return text.empty() ? name : name + ": " + text;
}

constexpr unsigned of(wire::Fault fault) { return static_cast<unsigned>(fault); }

static_assert(Error::too_large == of(wire::Fault::too_large));
static_assert(Error::bad_key == of(wire::Fault::bad_key));
static_assert(Error::bad_subtree == of(wire::Fault::bad_subtree));
static_assert(Error::several_partitions == of(wire::Fault::several_partitions));
static_assert(Error::revision_mismatch == of(wire::Fault::revision_mismatch));
static_assert(Error::not_kept == of(wire::Fault::not_kept));
static_assert(Error::forbidden == of(wire::Fault::forbidden));
static_assert(Error::full == of(wire::Fault::full));
static_assert(Error::busy == of(wire::Fault::busy));
static_assert(Error::timeout == client::timed_out && Error::closed == client::closed &&
              Error::cancelled == client::cancelled);

}  // namespace

Error::Error(unsigned number, const std::string& text, std::uint64_t revision)
    : std::runtime_error(what_of(number, text)), number_(number), revision_(revision) {}
Error::Error(const Error&) = default;
Error& Error::operator=(const Error&) = default;
Error::~Error() = default;

const char* Error::name() const noexcept { return name_of(number_); }

}  // namespace canopy
