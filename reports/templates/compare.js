"use strict";
/* Swipe to compare: one pair of the sheet of nearest pairs, enlarged, the one slice laid over the other. */
