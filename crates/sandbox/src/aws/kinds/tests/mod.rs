//! Rules of the embedded AWS, told as a platform is built.
