from app.core.model.flow import DnsInfo, Flow, L7Info
from app.services import names
from app.services.names import NameBook


def answer(name: str, *ips: str) -> Flow:
    return Flow(1, l7=L7Info("RESPONSE", dns=DnsInfo(name, ips=ips)))


def known(book: NameBook) -> dict[str, list[str]]:
    return {name: [str(ip) for ip in ips] for name, ips in book.names().items()}


def test_learn_takes_dns_answers_in_lower_case_without_final_dot() -> None:
    book = NameBook()
    assert book.learn([answer("PyPI.org.", "151.101.0.223", "2a04:4e42::223")])
    assert known(book) == {"pypi.org": ["151.101.0.223", "2a04:4e42::223"]}


def test_learn_takes_names_of_destinations() -> None:
    book = NameBook()
    flow = Flow(1, destination_ip="203.0.113.7", destination_names=("a.example", "b.example"))
    assert book.learn([flow])
    assert known(book) == {"a.example": ["203.0.113.7"], "b.example": ["203.0.113.7"]}


def test_learn_says_when_nothing_was_new() -> None:
    book = NameBook()
    book.learn([answer("pypi.org", "151.101.0.223")])
    assert not book.learn([answer("pypi.org", "151.101.0.223"), Flow(2)])


def test_learn_ignores_what_is_no_address_or_no_name() -> None:
    book = NameBook()
    assert not book.learn([answer("pypi.org", "", "nonsense"), answer(".", "203.0.113.7")])
    assert known(book) == {}


def test_book_of_names_is_bounded() -> None:
    book = NameBook()
    book.learn(answer(f"n{at}.example", "203.0.113.7") for at in range(names.MOST_NAMES + 5))
    assert len(book.names()) == names.MOST_NAMES


def test_addresses_of_a_name_are_bounded() -> None:
    book = NameBook()
    ips = tuple(f"10.{at >> 8}.{at & 255}.1" for at in range(names.MOST_ADDRESSES + 5))
    book.learn([answer("many.example", *ips)])
    assert len(book.names()["many.example"]) == names.MOST_ADDRESSES
