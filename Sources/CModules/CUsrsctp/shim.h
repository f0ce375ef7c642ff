// libusrsctp. Header shims and macro wrappers only; no logic.
#pragma once
#include <usrsctp.h>
