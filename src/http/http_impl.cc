// The one translation unit that compiles the bodies of Asio's TLS and of Beast.
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
