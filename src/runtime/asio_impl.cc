// The one translation unit that compiles the bodies of Asio.
#include <boost/asio/impl/src.hpp>
