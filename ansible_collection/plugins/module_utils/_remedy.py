# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of all remedies share: arguments in, engine call, result out. **PRIVATE**: modules of this collection only."""

from ansible.module_utils.basic import AnsibleModule

from .pidhygiene.host import HostError
from .pidhygiene.remedies import apply
from .pidhygiene.remedies.model import Failed, Refused

_TYPES = {"text": "str", "number": "int", "flag": "bool", "words": "list", "map": "dict", "choice": "str"}


def argument_spec(remedy):
    """Ansible's form of the remedy's own table of parameters."""
    spec = {}
    for parameter in remedy.parameters:
        option = {"type": _TYPES[parameter.kind], "required": parameter.required}
        if parameter.kind == "words":
            option["elements"] = "str"
        if parameter.choices:
            option["choices"] = list(parameter.choices)
        if parameter.default is not None and not parameter.required:
            option["default"] = parameter.default
        spec[parameter.name] = option
    return spec


def run(remedy):
    """The whole module. It ends with exit_json or fail_json, never with a traceback."""
    module = AnsibleModule(argument_spec=argument_spec(remedy), supports_check_mode=True)
    given = {name: value for name, value in module.params.items() if value is not None}
    try:
        report = apply.look(remedy, given) if module.check_mode else apply.apply(remedy, given)
    except Refused as error:
        module.fail_json(msg="Refused: %s." % error, refused=True)
    except Failed as error:
        module.fail_json(msg="%s." % error, left=error.state)
    except HostError as error:
        module.fail_json(msg="What the host has now could not be read (%s: %s)." % (error.path, error.reason))
    except Exception as error:  # pylint: disable=broad-except
        module.fail_json(msg="The remedy itself failed (%s: %s); this is a bug of pidhygiene." % (type(error).__name__, error))
    for note in report.notes:
        module.warn(note)
    module.exit_json(diff=[shown_difference(each) for each in report.differences], **report.plain())


def shown_difference(difference):
    """As Ansible shows it with --diff."""
    return {"before_header": difference.what, "after_header": difference.what, "before": _lines(difference.before), "after": _lines(difference.after)}


def _lines(text):
    return text if not text or text.endswith("\n") else text + "\n"
