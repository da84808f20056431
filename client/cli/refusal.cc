#include "client/cli/refusal.h"

#include "client/cli/text.h"
#include "core/wire/fault.h"

namespace canopy::client::cli {

std::string refusal_text(Action action, unsigned fault, const std::string& text) {
  if (fault != static_cast<unsigned>(wire::Fault::forbidden)) return escaped(text);
  switch (action) {
    case Action::put:
    case Action::erase:
    case Action::import_:
    case Action::apply:
    case Action::ping: return "forbidden: this key may not write it";
    case Action::get:
    case Action::list:
    case Action::watch: return "forbidden: this key may not read it";
    case Action::clients:
    case Action::kick:
    case Action::drain:
    case Action::elect:
    case Action::backup:
    case Action::move:
    case Action::split:
    case Action::reload: return "forbidden: this key is not an admin's";
    case Action::status:
    case Action::keygen:
    case Action::completion: break;
  }
  return "forbidden";
}

}  // namespace canopy::client::cli
