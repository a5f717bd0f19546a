"""``python -m vggprof`` does what ``vggprof`` does."""

from vggprof.cli import main

if __name__ == "__main__":
    main()
