#include "reft_plugin.h"
