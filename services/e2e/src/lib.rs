//! The whole pipeline under test: journeys, faults and tidiness.
