"""Run as it would be without a template, or in a fork."""

import time


def main() -> None:
    import worker

    worker.BORN, worker.INHERITED = time.monotonic(), worker.open_descriptors()
    worker.main()


if __name__ == "__main__":
    main()
