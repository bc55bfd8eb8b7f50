"""The generated corpus that curation is measured on: photographs in, files with a planted truth out.

`plan` says what each file is, `render` makes the files, `truth` says what a curation engine should have found in them.
"""
