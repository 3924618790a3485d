//! The package whose examples are the tests' own transforms; there is nothing in the package itself.
