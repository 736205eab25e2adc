// The one translation unit that compiles the bodies of Asio's TLS and of Beast.
#include <boost/asio/ssl/impl/src.hpp>
// Beast's parser asserts that the end of an empty chunked body comes in one piece. A peer need not
// do that ("0\r\n", then "\r\n"), and could abort a debug build with it; without the assertion the
// parser waits for the rest.
#define BOOST_DISABLE_ASSERTS
#include <boost/assert.hpp>
#include <boost/beast/src.hpp>
